"""Data sets that cannot be used: each is refused in one line that says what, where and the cure."""

import os

import numpy as np
import pytest

TABLE = "1,0,0,1\n1,1,0,2\n1,1,1,3\n"
COMMAS = ": write commas, and a point in a number, as in 0.5,1"

READS_TEXT = """
from ..trainer.data.tasks import next_character

TASK = next_character(steps=4, seed=0)
"""


@pytest.fixture
def refuse(net, tmp_path):
    """Train on files, with weights to be written over older ones; return the message."""

    def refuse(*paths, cell="linear"):
        output = tmp_path / "weights.json"
        output.write_text("older weights", encoding="utf-8")
        before = sorted(tmp_path.iterdir())
        contents = [path.read_bytes() for path in paths if os.path.isfile(path)]
        message = net.main(cell, "--data", *paths, "--output", output).bad_input()
        assert output.read_text(encoding="utf-8") == "older weights"
        assert sorted(tmp_path.iterdir()) == before
        assert [path.read_bytes() for path in paths if os.path.isfile(path)] == contents
        return message

    return refuse


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("", ["data.csv is empty: name a file that holds data"]),
        ("\ufeff", ["data.csv is empty: name a file that holds data"]),
        ("\n \n\n", ["data.csv holds only blank lines: it needs one sequence a row"]),
        (",,\n , ,\n", ["data.csv holds only blank lines: it needs one sequence a row"]),
        ("a,b,c\n", ["data.csv holds a header but no sequence below it"]),
        ("1,0,1\n1,0\n", ["row 2 has 2 columns, expected 3 as in row 1", "leave cells blank"]),
        ("1,0,1\n1\n", ["row 2 has 1 column, expected 3 as in row 1"]),
        ("a,b,c\n\n1,0,1\n1,0,1,2\n", ["row 4 has 4 columns, expected 3 as in row 1"]),
        ("1,0,1\n0,5,1,2\n", ["row 2 has 4 columns", "decimal comma", "0.5, not 0,5"]),
        ('1,0,1\n"0,5",1,2\n', ["row 2, column 1: '0,5' is not a number: write a decimal point, as in 0.5"]),
        ("a,b,c\n1,0,1\n1,zero,1\n", ["row 3, column 2: 'zero' is not a number: write one, as in 0.5"]),
        ("0,1,2,target\n1,0,1,2\n", ["row 1, column 4: 'target' is not a number (in a header no cell is a number)"]),
        ("1,0,1\n1,1_0,1\n", ["row 2, column 2: '1_0' is not a number"]),
        ("1,0,1\n1,0," + 100 * "z" + "\n", ["row 2, column 3", "zzz..."]),
        ("1,0,1\n1,nan,1\n", ["row 2, column 2: nan is not a finite number: write one, or remove the row"]),
        ("1,0,1\n1,0,-inf\n", ["row 2, column 3: -inf is not a finite number"]),
        ("1,0,1\n1e999,0,1\n", ["row 2, column 1: 1e999 is not a finite number"]),
        ("nan,nan,nan\n1,0,1\n", ["row 1, column 1: nan is not a finite number"]),
        ("1,0,1\n1+2j,0,1\n", ["row 2, column 1: '1+2j' is not a number"]),
        ("1,0,1\n,1,1\n", ["row 2, column 1 is blank and a number follows in column 2: only the cells between"]),
        ("1,0,0,0,1\n1,, ,1,1\n", ["row 2, column 2 is blank and a number follows in column 4"]),
        ("1,0,1\n1,0,\n", ["row 2, column 3 is blank: the last column holds the targets, write one there"]),
        ("1,0,1\n1,,\n", ["row 2, column 3 is blank: the last column holds the targets"]),
        ("1,0,1\n,,1\n", ["row 2 has a target and no input: write at least one number before the target"]),
        ("1\n2\n", ["single column, which leaves no room for a target: separate the columns with commas"]),
        ("1 0 1\n1 1 2\n", ["single column, which leaves no room for a target: separate the columns with commas"]),
        ("1;0;1\n1;1;2\n", ["row 1: semicolons separate the columns" + COMMAS]),
        ("x;y;t\n1;1;2\n", ["row 1: semicolons separate the columns" + COMMAS]),
        ("0,5;1\n1;2\n", ["row 1: semicolons separate the columns" + COMMAS]),
        ("0,5;1,0;2\n", ["row 1: semicolons separate the columns" + COMMAS]),
        ("a,b\n1;2;3\n", ["row 2: semicolons separate the columns" + COMMAS]),
        ("1\t0\t1\n", ["row 1: tabs separate the columns" + COMMAS]),
        ("0,5\t1\n", ["row 1: tabs separate the columns" + COMMAS]),
        ('1,0,1\n1,"' + 200_000 * "0" + '",1\n', ["row 2", "field limit", "separate the columns with commas"]),
        (";".join(["1"] * 10**6), ["row 1", "field limit", "separate the columns with commas"]),
        ('1,0,1\n1,"0,1\n1,0,1\n', ["row 3 has 2 columns, expected 3"]),
        (",".join(["1"] * 10**6 + ["x"]), ["row 1, column 1000001: 'x' is not a number"]),
        (TABLE.encode("utf-16"), ["data.csv is not UTF-8 text (is it UTF-16?): save it in UTF-8"]),
        (TABLE.encode("utf-16-le"), ["data.csv is not UTF-8 text (is it UTF-16?): save it in UTF-8"]),
        ("x,y,größe\n1,0,1\n".encode("latin-1"), ["data.csv is not UTF-8"]),
        (TABLE.replace("\n", "\r\n") + "1,x,0,1\r\n", ["row 4, column 2: 'x' is not a number"]),
    ],
)
def test_broken_csv_is_refused(refuse, write, content, facts):
    message = refuse(write("data.csv", content))
    assert "data.csv" in message
    for fact in facts:
        assert fact in message


def test_missing_files_folders_and_unknown_extensions_are_refused(refuse, write, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    text, bare = write("data.txt", TABLE), write("data", TABLE)
    for path, fact in [
        (tmp_path / "nowhere.csv", "nowhere.csv: no such file: check its name and folder"),
        (tmp_path / "nowhere.npz", "nowhere.npz: no such file: check its name and folder"),
        (tmp_path / "folder.csv", "folder.csv is a folder: name a file in it"),
        (tmp_path, "is a folder, expected a file .csv, .npz or .npy"),
        (text, "data.txt has the unknown extension '.txt', expected a file .csv, .npz or .npy"),
        (bare, "data has the unknown extension '', expected a file .csv, .npz or .npy (the name of a cell stands"),
        (text / "below.csv", "cannot be read: Not a directory"),
        (tmp_path / ("a" * 300 + ".csv"), "cannot be used: File name too long"),
    ]:
        message = refuse(path)
        assert str(path) in message
        assert fact in message


def test_files_that_do_not_belong_together_are_refused(refuse, write, save):
    table, X = write("data.csv", TABLE), save("X.npy", np.ones((2, 3)))
    for paths in [(table, table), (X,), (X, table), (X, X, X, X)]:
        message = refuse(*paths)
        assert "give one .csv or .npz file, or X.npy t.npy, or X.npy t.npy lengths.npy" in message
        assert " ".join(map(str, paths)) in message


def test_a_cell_named_after_the_data_is_answered(net, save):
    message = net.main("--data", save("X.npy", np.ones((2, 3))), save("t.npy", np.ones(2)), "linear").bad_input()
    assert "linear has the unknown extension ''" in message
    assert "the name of a cell stands before --data" in message


X, T = np.ones((2, 3)), np.ones(2)
NOT_SQUARE = np.array([[1, 2, np.nan], [np.inf, 1, 1]])


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize(
    ("arrays", "facts"),
    [
        ({"X": X, "t": np.ones(3)}, ["X has 2 sequences and t has 3;", "X has shape (2, 3)", "t has shape (3,)"]),
        ({"X": X[:1], "t": np.ones(3)}, ["X has 1 sequence and t has 3;"]),
        ({"X": X, "t": np.ones((2, 1))}, ["t has shape (2, 1), expected N;", "the cell takes X as N x T and t as N"]),
        ({"X": np.ones(2), "t": T}, ["X has shape (2,), expected N x T"]),
        ({"X": np.ones((2, 3, 1)), "t": T}, ["X has shape (2, 3, 1), expected N x T"]),
        ({"X": np.ones(()), "t": np.ones(())}, ["X has shape (), expected N x T"]),
        ({"X": np.ones((0, 3)), "t": np.ones(0)}, ["X has shape (0, 3): none of N x T may be zero"]),
        ({"X": np.ones((2, 0)), "t": T}, ["X has shape (2, 0): none of N x T may be zero"]),
        ({"X": NOT_SQUARE, "t": T}, ["X[0, 2] is nan, expected finite numbers: replace it, or leave the sequence"]),
        ({"X": -NOT_SQUARE[1:], "t": T[:1]}, ["X[0, 0] is -inf, expected finite numbers"]),
        ({"X": X, "t": np.array([1, np.inf])}, ["t[1] is inf, expected finite numbers"]),
        ({"X": NOT_SQUARE.astype("float16"), "t": T}, ["X[0, 2] is nan, expected finite numbers"]),
        ({"X": X * np.longdouble("1e400"), "t": T}, ["X[0, 0] is inf, expected finite numbers"]),
        ({"X": X + 0j, "t": T}, ["X has dtype complex128, expected real numbers: convert it with astype(float)"]),
        ({"X": X, "t": np.array(["a", "b"])}, ["t has dtype <U1, expected real numbers"]),
        ({"X": X, "t": np.array([b"a", b"b"])}, ["t has dtype |S1, expected real numbers"]),
        ({"X": X, "t": np.array([1, 2], "M8[s]")}, ["t has dtype datetime64[s], expected real numbers"]),
        ({"X": X, "t": np.zeros(2, "f8,i4")}, ["t has dtype [('f0', '<f8'), ('f1', '<i4')], expected real numbers"]),
        ({"X": X, "t": T, "lengths": np.ones(2)}, ["lengths has dtype float64, expected whole numbers: convert it"]),
        ({"X": X, "t": T, "lengths": np.ones(2, bool)}, ["lengths has dtype bool, expected whole numbers"]),
        ({"X": X, "t": T, "lengths": np.array([1])}, ["lengths has shape (1,), expected (2,): give one number of"]),
        ({"X": X, "t": T, "lengths": np.array([[1, 2]])}, ["lengths has shape (1, 2), expected (2,)"]),
        ({"X": X, "t": T, "lengths": np.array(1)}, ["lengths has shape (), expected (2,)"]),
        ({"X": X, "t": T, "lengths": np.array([1, 0])}, ["lengths[1] is 0, expected 1 to 3: X has 3 steps"]),
        ({"X": X, "t": T, "lengths": np.array([-1, 1])}, ["lengths[0] is -1, expected 1 to 3"]),
        ({"X": X, "t": T, "lengths": np.array([1, 4])}, ["lengths[1] is 4, expected 1 to 3"]),
        ({"X": X[:, :1], "t": T, "lengths": np.array([1, 2])}, ["lengths[1] is 2, expected 1 to 1: X has 1 step,"]),
        (
            {"X": NOT_SQUARE[:, [1, 0, 2]], "t": T, "lengths": np.array([2, 2])},
            ["X[1, 1] is inf, expected finite numbers"],
        ),
        ({"X": NOT_SQUARE, "t": T, "lengths": np.array([2, 1])}, ["X[1, 0] is inf, expected finite numbers"]),
    ],
)
def test_unfit_arrays_are_refused(refuse, savez, save, kind, arrays, facts):
    paths = [savez(**arrays)] if kind == "npz" else [save(f"{name}.npy", array) for name, array in arrays.items()]
    message = refuse(*paths)
    for fact in [*map(str, paths), *facts]:
        assert fact in message


@pytest.mark.parametrize(
    ("arrays", "facts"),
    [
        ({"X": X}, ["lacks the array 't', it holds X: write it with np.savez"]),
        ({"t": T, "x": X}, ["lacks the array 'X', it holds t, x: write it with np.savez"]),
        ({}, ["lacks the array 'X', it holds nothing: write it with np.savez"]),
    ],
)
def test_an_npz_file_without_an_array_is_refused(refuse, savez, arrays, facts):
    message = refuse(savez(**arrays))
    for fact in ["data.npz", *facts]:
        assert fact in message


def test_empty_and_missing_arrays_are_refused(refuse, write, save, tmp_path):
    there = save("t.npy", T)
    assert "X.npy is empty: name a file that holds data" in refuse(write("X.npy", ""), there)
    assert "data.npz is empty: name a file that holds data" in refuse(write("data.npz", ""))
    assert "nowhere.npy: no such file" in refuse(tmp_path / "nowhere.npy", there)
    assert "nowhere.npy: no such file" in refuse(there, tmp_path / "nowhere.npy")
    (tmp_path / "folder.npy").mkdir()
    assert "folder.npy is a folder: name a file in it" in refuse(tmp_path / "folder.npy", there)


def test_several_lengths_are_refused_where_the_loss_is_no_mean(net, refuse, write):
    network = net.folder / "linear" / "network.py"
    network.write_text(network.read_text().replace("LOSS_IS_MEAN = True", "LOSS_IS_MEAN = False"))
    message = refuse(write("data.csv", "1,0,1\n1,,1\n"))
    assert "data.csv: there are sequences of 2 lengths" in message
    assert "the loss of linear is no mean over the sequences" in message
    assert "give sequences of one length" in message


@pytest.fixture
def text_cell(net):
    """A cell whose example reads text."""
    net.add_cell("writer", example=READS_TEXT)
    return "writer"


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("", "my.txt is empty: name a file that holds data"),
        ("\ufeff", "my.txt is empty: name a file that holds data"),
        ("abc", "my.txt: the text has 3 characters"),
        ("aaaaaaaaaaaa", "my.txt: the text has 12 characters, 1 of them different: give a longer one"),
        ("some text".encode("utf-16"), "my.txt is not UTF-8 text (is it UTF-16?): save it in UTF-8"),
        ("some text".encode("utf-16-be"), "my.txt is not UTF-8 text (is it UTF-16?): save it in UTF-8"),
        ("größe und mehr".encode("latin-1"), "my.txt is not UTF-8 text"),
        ("größe und mehr".encode()[:3], "my.txt is not UTF-8 text"),  # a character is cut in two
    ],
)
def test_a_broken_text_is_refused(refuse, write, text_cell, content, fact):
    assert fact in refuse(write("my.txt", content), cell=text_cell)


def test_two_texts_or_a_missing_one_are_refused(refuse, write, text_cell, tmp_path):
    text = write("my.txt", "some text and more")
    assert "unknown extension '.txt'" in refuse(text, text, cell=text_cell)
    assert "no such file" in refuse(tmp_path / "nowhere.txt", cell=text_cell)
