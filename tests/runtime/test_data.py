"""Data sets: what is read, and how each kind of broken file is refused."""

import numpy as np
import pytest

TABLE = "1,0,0,1\n1,1,0,2\n1,1,1,3\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        "x1,x2,x3,t\n" + TABLE,
        ",,,count\n" + TABLE,
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.rstrip("\n"),
        "\n" + TABLE.replace("\n", "\n  \n"),
        TABLE.replace(",", " , "),
        TABLE.replace("1", '"1"'),
        TABLE.replace("1", "1e0"),
    ],
    ids=[
        "bare",
        "header",
        "header with empty cells",
        "byte order mark",
        "CRLF",
        "no last newline",
        "blank lines",
        "spaces",
        "quotes",
        "exponents",
    ],
)
def test_csv_is_read(net, write, content):
    X, t = net.module("data").read_data(write("data.csv", content))
    assert X.dtype == t.dtype == np.float64
    np.testing.assert_array_equal(X, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(t, [1, 2, 3])


def test_the_extension_may_be_in_capitals(net, write):
    X, _ = net.module("data").read_data(write("DATA.CSV", TABLE))
    assert X.shape == (3, 3)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "float32", "float64", ">f8"])
def test_npz_keeps_its_dtypes(net, savez, dtype):
    path = savez(X=np.eye(2, 3, dtype=dtype), t=np.ones(2, dtype="int8"))
    X, t = net.module("data").read_data(path)
    assert X.dtype == np.dtype(dtype)
    assert t.dtype == np.int8
    assert X.shape == (2, 3)


def test_truth_values_become_numbers(net, savez):
    X, _ = net.module("data").read_data(savez(X=np.eye(2, dtype=bool), t=np.ones(2)))
    assert X.dtype == np.int8
    np.testing.assert_array_equal(X, np.eye(2))


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("", ["data.csv", "empty"]),
        ("\n \n\n", ["data.csv", "blank lines"]),
        ("a,b,c\n", ["data.csv", "header", "no sequence"]),
        ("1,0,1\n1,0\n", ["row 2", "2 columns", "expected 3", "row 1"]),
        ("a,b,c\n\n1,0,1\n1,0,1,2\n", ["row 4", "4 columns", "expected 3", "row 1"]),
        ("1,0,1\n0,5,1,2\n", ["row 2", "4 columns", "decimal comma", "0.5, not 0,5"]),
        ("a,b,c\n1,0,1\n1,zero,1\n", ["row 3", "column 2", "'zero' is not a number"]),
        ("1,0,1\n1,,1\n", ["row 2", "column 2", "'' is not a number"]),
        ("1,0,1\n1,0,\n", ["row 2", "column 3", "'' is not a number"]),
        ("1,b,c\n1,0,1\n", ["row 1", "column 2", "'b' is not a number"]),
        ("1,0,1\n1,1_0,1\n", ["row 2", "column 2", "'1_0' is not a number"]),
        ("1,0,1\n1,0," + 100 * "z" + "\n", ["row 2", "column 3", "zzz..."]),
        ("1,0,1\n1,nan,1\n", ["row 2", "column 2", "nan is not a finite number"]),
        ("1,0,1\n1,0,-inf\n", ["row 2", "column 3", "-inf is not a finite number"]),
        ("1,0,1\n1e999,0,1\n", ["row 2", "column 1", "1e999 is not a finite number"]),
        ("nan,nan,nan\n1,0,1\n", ["row 1", "column 1", "nan is not a finite number"]),
        ("1\n2\n", ["single column", "no room for a target"]),
        ("1;0;1\n1;1;2\n", ["single column", "separate the columns with commas"]),
        ("0,5;1,0;2\n", ["row 1", "column 2", "'5;1' is not a number", "with commas"]),
        ('1,0,1\n1,"' + 200_000 * "0" + '",1\n', ["row 2", "field limit"]),
        (TABLE.encode("utf-16"), ["data.csv", "not UTF-8", "UTF-16"]),
        (TABLE.encode("utf-16-le"), ["data.csv", "not UTF-8", "UTF-16"]),
        ("x,y,größe\n1,0,1\n".encode("latin-1"), ["data.csv", "not UTF-8"]),
    ],
)
def test_broken_csv_is_refused(net, write, content, facts):
    message = net.main("linear", "--data", write("data.csv", content)).bad_input()
    for fact in facts:
        assert fact in message


def test_missing_file_folder_and_unknown_extension_are_refused(net, write, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for path, fact in [
        (tmp_path / "nowhere.csv", "nowhere.csv: no such file"),
        (tmp_path / "folder.csv", "is a folder"),
        (tmp_path, "is a folder"),
        (write("data.txt", TABLE), "unknown extension '.txt', expected .csv or .npz"),
        (write("data", TABLE), "unknown extension ''"),
        (tmp_path / "data.txt" / "below.csv", "cannot be read: Not a directory"),
    ]:
        message = net.main("linear", "--data", path).bad_input()
        assert str(path) in message
        assert fact in message


X, T = np.ones((2, 3)), np.ones(2)


@pytest.mark.parametrize(
    ("arrays", "facts"),
    [
        ({"X": X}, ["lacks the array 't'", "it holds X", "np.savez"]),
        ({"t": T, "x": X}, ["lacks the array 'X'", "it holds t, x", "np.savez"]),
        ({}, ["lacks the array 'X'", "it holds nothing"]),
        ({"X": X, "t": np.ones(3)}, ["X has 2 sequences and t has 3;", "X has shape (2, 3)", "t has shape (3,)"]),
        ({"X": X, "t": np.ones((2, 1))}, ["t has shape (2, 1), expected N;", "the cell takes X as N x T and t as N"]),
        ({"X": np.ones(2), "t": T}, ["X has shape (2,), expected N x T"]),
        ({"X": np.ones((2, 3, 1)), "t": T}, ["X has shape (2, 3, 1)"]),
        ({"X": np.ones(()), "t": np.ones(())}, ["X has shape ()"]),
        ({"X": np.ones((0, 3)), "t": np.ones(0)}, ["X has shape (0, 3)", "zero"]),
        ({"X": np.ones((2, 0)), "t": T}, ["X has shape (2, 0)", "zero"]),
        ({"X": X * np.nan, "t": T}, ["X[0, 0] is nan", "finite"]),
        ({"X": X, "t": np.array([1, np.inf])}, ["t[1] is inf", "finite"]),
        ({"X": X + 0j, "t": T}, ["X has dtype complex128", "real numbers"]),
        ({"X": X, "t": np.array(["a", "b"])}, ["t has dtype <U1", "real numbers"]),
        ({"X": X.astype(object), "t": T}, ["pickled", "np.savez"]),
    ],
)
def test_unfit_npz_is_refused(net, savez, arrays, facts):
    message = net.main("linear", "--data", savez(**arrays)).bad_input()
    assert "data.npz" in message
    for fact in facts:
        assert fact in message


def test_damaged_npz_is_refused(net, savez, write):
    whole = savez(X=X, t=T).read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(X.tobytes()) + 3] ^= 0xFF
    for content in [whole[:100], whole[:-30], bytes(flipped), b"PK", b"\x80\x04N.", TABLE.encode()]:
        message = net.main("linear", "--data", write("bad.npz", content)).bad_input()
        assert "bad.npz is no readable archive" in message
        assert "np.savez" in message
    assert "empty" in net.main("linear", "--data", write("bad.npz", b"")).bad_input()


def test_an_npy_file_is_no_npz_file(net, tmp_path):
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, X)
    message = net.main("linear", "--data", tmp_path / "array.npz").bad_input()
    assert "no readable archive" in message
