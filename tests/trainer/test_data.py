"""Data sets: what is read of each format."""

import re
import sys
import tracemalloc

import numpy as np
import pytest

TABLE = "1,0,0,1\n1,1,0,2\n1,1,1,3\n"
X = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
T = np.array([1, 2, 3])


@pytest.fixture
def read(net):
    """Read files with the trainer's own function; the shapes are those of a cell of numbers unless given."""
    return lambda *paths, **shapes: net.module("trainer.data.reading").read_data(paths, **shapes)


def the_only_group(sequences):
    (group,) = sequences.groups
    return group


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        "x1,x2,x3,t\n" + TABLE,
        ",,,count\n" + TABLE,
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.rstrip("\n"),
        "\n" + TABLE.replace("\n", "\n  \n"),
        TABLE + ",,,\n , ,,\n",
        TABLE.replace(",", " , "),
        TABLE.replace(",", "\t,"),
        TABLE.replace("1", '"1"'),
        TABLE.replace("1", "1e0"),
    ],
    ids=[
        "bare",
        "header",
        "header with blank cells",
        "byte order mark",
        "CRLF",
        "CR",
        "no last newline",
        "blank lines",
        "rows of blank cells",
        "spaces",
        "tabs beside the commas",
        "quotes",
        "exponents",
    ],
)
def test_csv_is_read(read, write, content):
    inputs, targets = the_only_group(read(write("data.csv", content)))
    assert inputs.dtype == targets.dtype == np.float64
    np.testing.assert_array_equal(inputs, X)
    np.testing.assert_array_equal(targets, T)


@pytest.mark.parametrize("name", ["DATA.CSV", "DATA.NPZ"])
def test_the_extension_may_be_in_capitals(read, write, savez, name):
    content = savez(X=X, t=T).read_bytes() if name == "DATA.NPZ" else TABLE
    np.testing.assert_array_equal(the_only_group(read(write(name, content))).X, X)


def test_a_row_of_a_million_columns_is_read(read, write):
    inputs, targets = the_only_group(read(write("data.csv", ",".join(["0.5"] * 10**6) + "\n")))
    assert inputs.shape == (1, 10**6 - 1)
    assert np.all(inputs == 0.5) and targets.tolist() == [0.5]


def lines_executed(function):
    """Count the lines of Python that a call executes."""
    count, before = 0, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("cells", [["0.5"], [""]], ids=["numbers", "blanks"])
def test_what_a_wide_row_costs_grows_as_its_columns(read, write, cells):
    narrow, wide = (write(f"{n}.csv", ",".join(["0.5", *(n * cells), "0.5"]) + "\n") for n in (1000, 10_000))
    read(narrow)  # imports the reader
    counts = [lines_executed(lambda path=path: read(path)) for path in (narrow, wide)]
    assert 1000 < counts[0] < counts[1] < 10 * counts[0]


DTYPES = ["bool", "int8", "uint16", ">i4", "int64", "float32", "float64", ">f8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_their_dtypes(read, savez, save, dtype, order):
    array = np.array(np.eye(2, 3), dtype, order=order)
    npz = the_only_group(read(savez(X=array, t=np.ones(2, "int8"))))
    npy = the_only_group(read(save("X.npy", array), save("t.npy", np.ones(2, "int8"))))
    for group in (npz, npy):
        assert group.X.dtype == ("int8" if dtype == "bool" else dtype)
        assert group.t.dtype == np.int8
        np.testing.assert_array_equal(group.X, np.eye(2, 3))
    assert isinstance(npy.X, np.memmap)


@pytest.mark.parametrize("dtype", [*DTYPES, "float16", "longdouble"])
def test_any_dtype_trains_alike(net, save, dtype):
    """Also half precision, in which the weights would be rounded to three digits, and one that JSON does not know."""
    words = ("linear", "--epochs", 50, "--batch", 2, "--quiet", "--json", "--data")
    expected = net.main(*words, save("X.npy", X.astype(float)), save("t.npy", T.astype(float)))
    found = net.main(*words, save("X.npy", X.astype(dtype)), save("t.npy", T.astype(float)))
    assert (expected.code, found.code) == (0, 0)
    weights = [[float(value) for value in re.findall(r'"W\w+": ([\d.]+)', done.out)] for done in (expected, found)]
    assert len(weights[0]) == 2
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-6 if dtype in ("float16", "float32") else 1e-14)


@pytest.mark.parametrize(("dtype", "read_as"), [("float16", "float32"), ("longdouble", "float64")])
@pytest.mark.parametrize("split", [False, True])
def test_half_precision_is_read_as_single_and_extended_as_double(read, savez, save, dtype, read_as, split):
    values = np.arange(6, dtype=dtype).reshape(2, 3)
    lengths = {"lengths": np.array([3, 2])} if split else {}
    npz = read(savez(X=values, t=np.ones(2), **lengths))
    npy = read(*(save(f"{name}.npy", array) for name, array in ({"X": values, "t": np.ones(2)} | lengths).items()))
    for sequences in (npz, npy):
        assert [group.X.dtype for group in sequences.groups] == [read_as] * (1 + split)
        np.testing.assert_array_equal(sequences.groups[-1].X, values[: 2 - split])


def test_two_sequences_of_a_million_steps_are_read(read, save):
    sequences = read(save("X.npy", np.full((2, 10**6), 0.5)), save("t.npy", np.ones(2)))
    assert sequences.describe() == "2 sequences of 1000000 steps"


def test_one_sequence_of_one_step_is_said_in_the_singular(net, write):
    done = net.main("linear", "--data", write("data.csv", "1,1\n"), "--epochs", 0)
    assert done.out.startswith("linear: 1 sequence of 1 step, ")


MIXED = "x1,x2,x3,x4,t\n1,0,,,1\n1,1,0,1,3\n1,1,1,1,4\n1,1, ,\t,2\n0,,,,0\n"


def test_blank_cells_before_the_target_end_a_sequence(read, write):
    sequences = read(write("data.csv", MIXED))
    assert sequences.lengths == {1: 1, 2: 2, 4: 2}
    assert [group.X.tolist() for group in sequences.groups] == [
        [[0]],
        [[1, 0], [1, 1]],
        [[1, 1, 0, 1], [1, 1, 1, 1]],
    ]
    assert [group.t.tolist() for group in sequences.groups] == [[0], [1, 2], [3, 4]]


PADDED = np.array([[1, 0, np.nan, 9], [1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 9, np.inf], [0, 9, 9, 9]])
COUNTS, LENGTHS = np.array([1, 3, 4, 2, 0]), np.array([2, 4, 4, 2, 1])


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">i2"])
def test_lengths_say_how_many_steps_of_a_row_count(read, write, savez, save, dtype):
    """What follows them may be anything, also NaN."""
    expected = read(write("data.csv", MIXED)).groups
    lengths = LENGTHS.astype(dtype)
    npz = read(savez(X=PADDED, t=COUNTS, lengths=lengths))
    npy = read(save("X.npy", PADDED), save("t.npy", COUNTS), save("lengths.npy", lengths))
    for sequences in (npz, npy):
        for found, group in zip(sequences.groups, expected, strict=True):
            np.testing.assert_array_equal(found.X, group.X)
            np.testing.assert_array_equal(found.t, group.t)


def test_the_padding_may_be_longer_than_the_longest_sequence(read, savez):
    assert read(savez(X=np.ones((2, 5)), t=np.ones(2), lengths=np.array([3, 3]))).lengths == {3: 2}


def test_targets_at_every_step_are_cut_with_their_inputs(read, savez):
    inputs, targets = np.arange(12.0).reshape(2, 3, 2), np.arange(6).reshape(2, 3)
    shapes = {"X": ("N", "T", "D"), "t": ("N", "T")}
    sequences = read(savez(X=inputs, t=targets, lengths=np.array([3, 2])), shapes=shapes)
    assert [group.t.tolist() for group in sequences.groups] == [[[3, 4]], [[0, 1, 2]]]
    assert [group.X.tolist() for group in sequences.groups] == [[[[6, 7], [8, 9]]], [inputs[0].tolist()]]


def test_a_target_of_several_numbers_is_not_cut(read, savez):
    shapes = {"X": ("N", "T", "D"), "t": ("N", "M")}
    arrays = {"X": np.ones((2, 3, 2)), "t": np.arange(6).reshape(2, 3), "lengths": np.array([3, 2])}
    assert [group.t.tolist() for group in read(savez(**arrays), shapes=shapes).groups] == [[[3, 4, 5]], [[0, 1, 2]]]


def test_the_trainer_says_how_many_sequences_there_are_of_each_length(net, write):
    done = net.main("linear", "--data", write("data.csv", MIXED), "--epochs", 1)
    assert done.code == 0
    assert done.out.startswith("linear: 5 sequences, 1 of 1 step, 2 of 2 steps and 2 of 4 steps, ")


def test_the_three_formats_train_to_the_same_bits(net, write, savez, save, tmp_path):
    npy = (save("X.npy", PADDED), save("t.npy", COUNTS.astype(float)), save("lengths.npy", LENGTHS))
    npz = savez(X=PADDED, t=COUNTS.astype(float), lengths=LENGTHS)
    outputs = []
    for files in ([write("data.csv", MIXED)], [npz], npy):
        output = tmp_path / f"{len(outputs)}.json"
        done = net.main("linear", "--data", *files, "--epochs", 20, "--batch", 2, "--output", output)
        assert done.code == 0
        outputs.append(output.read_text())
    assert outputs[0] == outputs[1] == outputs[2]


def test_large_files_are_looked_through_in_blocks(read, save):
    """16 MB are read, and no more than two blocks are in memory at a time."""
    X, t = save("X.npy", np.ones((10**5, 20))), save("t.npy", np.ones(10**5))
    tracemalloc.start()
    try:
        sequences = read(X, t)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sequences) == 10**5
    assert peak < 8e6


def test_a_nan_beyond_the_first_block_is_found(net, save):
    X = np.ones((10**5, 20), "float32")
    X[99_998, 7] = np.nan
    message = net.main("linear", "--data", save("X.npy", X), save("t.npy", np.ones(10**5))).bad_input()
    assert "X[99998, 7] is nan" in message


def test_a_text_with_any_line_ends_is_read_alike(net, write):
    read_text = net.module("trainer.data.input_files").read_text
    for content in ("a\nb\n", "a\r\nb\r\n", "a\rb\r", "\ufeffa\nb\n"):
        assert read_text(write("my.txt", content)) == "a\nb\n"


def test_help_names_every_format(net, capsys):
    with pytest.raises(SystemExit):
        net.module("trainer.commands.train").main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("my.csv", "1,0,,,1", "my.npz", "lengths", "X.npy t.npy", "larger than memory", "my.txt"):
        assert words in text
    assert text.startswith("usage: python -m net.train [CELL] [options]")
