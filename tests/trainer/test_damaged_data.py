"""Files that are cut short, changed, or made to harm: each is refused in one line, and nothing in it is ever run."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

X, T = np.arange(6.0).reshape(2, 3), np.ones(2)


@pytest.fixture
def there(save):
    """A file of targets that is whole."""
    return save("t.npy", T)


def bytes_of(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive_of(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_an_archive_that_is_cut_short_anywhere_is_refused(net, write):
    whole = archive_of(X=X, t=T)
    for end in range(1, len(whole), 7):
        message = net.main("linear", "--data", write("cut.npz", whole[:end])).bad_input()
        assert "cut.npz is no readable archive of numbers (damaged?): write it with np.savez(file, X=X, t=t)" in message


@pytest.mark.parametrize("array", [X, np.asfortranarray(X), X.astype("int8")], ids=["C", "F", "int8"])
def test_an_array_that_is_cut_short_anywhere_is_refused(net, write, there, array):
    content = bytes_of(array)
    for end in range(1, len(content)):
        message = net.main("linear", "--data", write("X.npy", content[:end]), there).bad_input()
        assert "X.npy is no .npy file of numbers: write it with np.save" in message or (
            f"X.npy is damaged, its header says {len(content)} bytes and it has {end}: write it anew" in message
        )


def test_an_array_with_more_behind_it_is_refused(net, write, there):
    message = net.main("linear", "--data", write("X.npy", 2 * bytes_of(X)), there).bad_input()
    assert "X.npy is damaged, its header says 176 bytes and it has 352" in message


def test_a_table_that_is_cut_short_is_refused_or_is_a_shorter_table(net, write):
    table = "1,0,0,1\n1,1,0,2\n1,1,1,3\n"
    for end in range(1, len(table)):
        done = net.main("linear", "--data", write("cut.csv", table[:end]), "--epochs", 0)
        if done.code:
            assert "cut.csv" in done.bad_input()
        else:
            assert len({line.count(",") for line in table[:end].split()}) == 1


@pytest.mark.parametrize("compressed", [False, True])
def test_a_bit_that_is_flipped_anywhere_is_refused_or_changes_no_number(net, write, tmp_path, compressed):
    """A few bytes of an archive say nothing of the arrays: the time, for example."""
    path = tmp_path / "data.npz"
    (np.savez_compressed if compressed else np.savez)(path, X=X, t=T)
    content = path.read_bytes()
    read, InputError = net.module("trainer.data.reading").read_data, net.module("trainer.errors").InputError
    refused = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        try:
            ((inputs, targets),) = read([write("flipped.npz", bytes(changed))]).groups
        except InputError as error:
            assert "flipped.npz" in str(error)
            assert "\n" not in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(inputs, X)
            np.testing.assert_array_equal(targets, T)
    assert refused > len(content) / 2


def test_a_flipped_bit_in_the_header_of_an_array_is_refused_or_is_another_array(net, write, there):
    content = bytes_of(X)
    read, InputError = net.module("trainer.data.reading").read_data, net.module("trainer.errors").InputError
    refused = 0
    for place in range(content.index(b"\n") + 1):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            try:
                ((inputs, _),) = read([write("X.npy", bytes(changed)), there]).groups
            except InputError as error:
                assert "X.npy" in str(error)
                assert "\n" not in str(error)
                refused += 1
            else:
                assert inputs.shape[0] == 2
    assert refused > 8 * 80


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def trace(tmp_path):
    """The file that unpickling would make; that it would is made sure of."""
    path = tmp_path / "unpickled"
    pickle.loads(pickle.dumps(Bomb(path))).close()
    assert path.exists()
    path.unlink()
    return path


def test_pickles_are_refused_and_never_loaded(net, write, there, trace):
    objects = np.array([Bomb(trace), Bomb(trace)], dtype=object)
    structured = np.zeros(2, dtype=[("number", float), ("object", object)])
    structured["object"] = objects
    pickled, arrays = pickle.dumps(Bomb(trace)), bytes_of(objects)
    whole = write("X.npy", bytes_of(X))
    never = "holds pickled Python objects, which are never loaded: write numbers"
    for paths, fact in [
        ([write("1.npz", archive_of(X=X, t=objects))], f"1.npz: t {never}"),
        ([write("2.npz", archive_of(X=X, t=structured))], f"2.npz: t {never}"),
        ([write("3.npz", archive_of(X=X, t=T, lengths=objects))], f"3.npz: lengths {never}"),
        ([write("4.npy", arrays), there], f"4.npy {never}"),
        ([whole, write("5.npy", arrays)], f"5.npy {never}"),
        ([whole, there, write("6.npy", arrays)], f"6.npy {never}"),
        ([write("7.npy", pickled), there], "7.npy is no .npy file of numbers"),
        ([write("8.npz", pickled)], "8.npz is no readable archive of numbers"),
        ([write("9.csv", pickled)], "9.csv is not UTF-8 text"),
    ]:
        assert fact in net.main("linear", "--data", *paths).bad_input()
        assert not trace.exists()


def test_an_array_of_objects_that_is_not_asked_for_is_not_loaded(net, savez, trace):
    path = savez(X=X, t=T, other=np.array([Bomb(trace)], dtype=object))
    assert net.main("linear", "--data", path, "--epochs", 0).code == 0
    assert not trace.exists()


def header_of(shape, dtype="<f8"):
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


GIANT = [(10**12, 10**6), (10**30, 3), (2, 10**15), (-2, -3), (2, 3, 4)]


@pytest.mark.parametrize("shape", GIANT)
def test_a_header_that_promises_more_than_the_file_holds_is_refused(net, write, there, shape):
    message = net.main("linear", "--data", write("X.npy", header_of(shape) + X.tobytes()), there).bad_input()
    assert "X.npy is damaged, its header says" in message or "X.npy is no .npy file of numbers" in message


@pytest.mark.parametrize("shape", GIANT)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_that_promises_more_than_it_holds_is_refused(net, tmp_path, shape, compression):
    path = tmp_path / "giant.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("X.npy", header_of(shape) + X.tobytes())
        archive.writestr("t.npy", bytes_of(T))
    message = net.main("linear", "--data", path).bad_input()
    assert "giant.npz is damaged, the header of X says" in message or "giant.npz is no readable archive" in message


def test_an_archive_whose_table_of_contents_lies_as_well_is_refused(net, tmp_path):
    path = tmp_path / "giant.npz"
    header = header_of((2, 2**27))  # 2 GiB
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", header + X.tobytes())
        archive.writestr("t.npy", bytes_of(T))
    content = path.read_bytes()
    real, said = ((len(header) + size).to_bytes(4, "little") for size in (X.nbytes, 2**31))
    assert content.count(real) == 2  # before the array, and in the table of contents
    path.write_bytes(content.replace(real, said))
    message = net.main("linear", "--data", path).bad_input()
    assert "giant.npz is damaged, the header of X says 2147483776 bytes, which it does not hold" in message


def test_an_array_that_does_not_fit_into_memory_is_refused(net, savez, monkeypatch):
    def read_array(*arguments, **options):
        raise MemoryError

    path = savez(X=X, t=T)
    monkeypatch.setattr(npy, "read_array", read_array)
    message = net.main("linear", "--data", path).bad_input()
    assert "data.npz: X has 176 bytes and does not fit into memory" in message
    assert "give --data X.npy t.npy" in message


@pytest.mark.parametrize(
    "content", [b"PK", b"\x80\x04N.", b"1,0,0,1\n", b"\0" * 1000, b"\x93NUMPY", b"\x93NUMPY\x09\x09"]
)
def test_anything_else_is_refused(net, write, there, content):
    assert "bad.npz is no readable archive" in net.main("linear", "--data", write("bad.npz", content)).bad_input()
    assert "bad.npy is no .npy file" in net.main("linear", "--data", write("bad.npy", content), there).bad_input()


def test_one_format_under_the_name_of_another_is_refused(net, write, there):
    whole = archive_of(X=X, t=T)
    array = write("array.npz", bytes_of(X))
    assert "array.npz is no readable archive" in net.main("linear", "--data", array).bad_input()
    archive = write("archive.npy", whole)
    assert "archive.npy is no .npy file" in net.main("linear", "--data", archive, there).bad_input()
    for content in (whole, bytes_of(X)):
        assert "is not UTF-8 text" in net.main("linear", "--data", write("array.csv", content)).bad_input()
