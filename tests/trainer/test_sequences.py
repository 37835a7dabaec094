"""Sequences of several lengths: the loss over all of them, parts of them, and what stays on the disk."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest

from derive.backends.numpy.network_code import print_network
from derive.cells import binary_adder
from derive.mathematics.pipeline import write_derivation

random = np.random.default_rng(seed=1)
LENGTHS = random.permutation([1] * 2 + [3] * 7 + [4] * 4)
N, T, D, M, H = len(LENGTHS), 4, 2, 1, 3


@pytest.fixture(scope="module")
def source():
    """The network.py of a cell with matrices and a target at every step."""
    return print_network(write_derivation(binary_adder.cell))


@pytest.fixture
def cells(net, source):
    """A package with that cell, too."""
    net.add_cell("binary_adder", example=None)
    (net.folder / "binary_adder" / "network.py").write_text(source, encoding="utf-8")
    return net


@pytest.fixture(params=["linear", "binary_adder"])
def problem(request, cells):
    """A network, weights, and data: X, t."""
    network = cells.module(f"{request.param}.network")
    if request.param == "linear":
        return network, network.Parameters(0.7, 0.9), random.normal(size=(N, T)), random.normal(size=N)
    sizes = {"D": D, "H": H, "M": M}
    shapes = cells.module("trainer.data.shapes").size_of_all(network.SHAPES, sizes)
    parameters = network.Parameters(**{name: random.normal(size=shape) for name, shape in shapes.items()})
    return network, parameters, random.normal(size=(N, T, D)), random.integers(0, 2, size=(N, T, M))


def of_length(network, X, t, n):
    """A data set of one sequence, without its padding."""
    steps = LENGTHS[n]
    return X[n : n + 1, :steps], t[n : n + 1, :steps] if network.DATA_SHAPES["t"][1:2] == ("T",) else t[n : n + 1]


def test_loss_and_gradient_over_several_lengths_are_means_over_all_sequences(cells, problem):
    network, parameters, X, t = problem
    sequences = cells.module("trainer.data.array_files").from_arrays(X, t, LENGTHS, network.DATA_SHAPES, "here")
    assert sequences.lengths == Counter(LENGTHS.tolist())
    first_order = cells.module("trainer.run.first_order")
    value, gradient = first_order.value_and_gradient(network, parameters, sequences)
    assert first_order.loss_of(network, parameters, sequences) == pytest.approx(value, rel=1e-14)

    # Sequence by sequence.
    one_by_one = [network.value_and_gradient(parameters, *of_length(network, X, t, n)) for n in range(N)]
    assert value == pytest.approx(np.mean([loss for loss, _ in one_by_one]), rel=1e-13)
    for place, leaf in enumerate(gradient):
        np.testing.assert_allclose(leaf, np.mean([g[place] for _, g in one_by_one], axis=0), rtol=1e-12, atol=1e-15)

    # Length by length, each with its share.
    by_length = []
    for steps in sorted(set(LENGTHS)):
        chosen = np.flatnonzero(steps == LENGTHS)
        parts = [of_length(network, X, t, n) for n in chosen]
        loss, slope = network.value_and_gradient(parameters, *map(np.concatenate, zip(*parts, strict=True)))
        by_length.append((len(chosen) / N, loss, slope))
    assert value == pytest.approx(sum(share * loss for share, loss, _ in by_length), rel=1e-14)
    for place, leaf in enumerate(gradient):
        np.testing.assert_allclose(leaf, sum(share * g[place] for share, _, g in by_length), rtol=1e-13, atol=1e-16)


@pytest.fixture
def module(net):
    return net.module("trainer.data.sequences")


@pytest.fixture
def mixed(module):
    """Six sequences; the target of one is its number."""
    return module.Sequences(
        module.Group(np.arange(12).reshape(4, 3), np.arange(2, 6)), module.Group(np.array([[7], [8]]), np.arange(2))
    )


def targets(sequences):
    return [group.t.tolist() for group in sequences.groups]


def test_sequences_are_numbered_from_the_shortest(mixed):
    assert len(mixed) == 6
    assert mixed.lengths == {1: 2, 3: 4}
    assert targets(mixed) == [[0, 1], [2, 3, 4, 5]]
    assert [share for _, share in mixed.shares()] == [2 / 6, 4 / 6]


def test_taken_sequences_keep_their_targets_and_the_order_asked_for(mixed):
    taken = mixed.take(np.array([5, 1, 2]))
    assert targets(taken) == [[1], [5, 2]]
    assert [group.X.tolist() for group in taken.groups] == [[[8]], [[9, 10, 11], [0, 1, 2]]]
    assert targets(mixed.take([3])) == [[3]]
    assert mixed.take(np.array([], int)).groups == ()


@pytest.mark.parametrize("numbers", [[6], [0, -1], [2, 10**6]])
def test_a_number_that_no_sequence_has_is_refused(mixed, numbers):
    with pytest.raises(IndexError, match=f"there is no sequence {numbers[-1]}, the numbers go from 0 to 5"):
        mixed.take(np.array(numbers))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_split_parts_all_sequences_and_the_seed_says_how(mixed, share):
    first, second = mixed.split(share, seed=3)
    assert len(second) == round(6 * share)
    assert sorted(np.concatenate(targets(first) + targets(second))) == list(range(6))
    for part in (first, second):
        for numbers in targets(part):
            assert numbers == sorted(numbers)
    assert targets(first) == targets(mixed.split(share, seed=3)[0])
    assert len({str(targets(mixed.split(share, seed)[1])) for seed in range(20)}) > 1


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.01, "0 of 6 sequences leaves none for one of both parts: give a larger share or more"),
        (0.99, "6 of 6 sequences leaves none for one of both parts: give a smaller share or more"),
    ],
)
def test_a_split_with_nothing_on_a_side_is_refused(mixed, share, message):
    with pytest.raises(ValueError, match=message):
        mixed.split(share, seed=0)


@pytest.mark.parametrize(("content", "share"), [("1,1\n0,0\n", "0.1"), ("1,1\n0,0\n", "0.9"), ("1,1\n", "0.5")])
def test_a_validation_share_that_holds_none_or_all_is_one_line(net, write, content, share):
    message = net.main("linear", "--data", write("data.csv", content), "--validation", share).bad_input()
    assert f"--validation {share}: " in message
    assert "leaves none for one of both parts: give " in message


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({1: 1}, "1 sequence of 1 step"),
        ({3: 1}, "1 sequence of 3 steps"),
        ({1: 2}, "2 sequences of 1 step"),
        ({2: 1, 1: 1}, "2 sequences, 1 of 1 step and 1 of 2 steps"),
        ({5: 3, 1: 2, 4: 1}, "6 sequences, 2 of 1 step, 1 of 4 steps and 3 of 5 steps"),
    ],
)
def test_a_data_set_is_described(module, counts, words):
    groups = [module.Group(np.ones((count, steps)), np.ones(count)) for steps, count in counts.items()]
    assert module.Sequences(*groups).describe() == words


LARGE = 10**5
"""Sequences, of 20 numbers in double precision: 16 MB."""


@pytest.fixture
def on_disk(net, save):
    """A large data set in files; every input of a sequence is its number, and so is its target."""
    numbers = np.arange(LARGE, dtype=float)
    X, t = save("X.npy", np.repeat(numbers[:, np.newaxis], 20, axis=1)), save("t.npy", numbers)
    lengths = save("lengths.npy", np.where(np.arange(LARGE) % 4, 20, 5))
    return lambda mixed: net.module("trainer.data.reading").read_data([X, t, lengths][: 3 if mixed else 2])


@pytest.mark.parametrize("mixed", [False, True])
def test_a_split_of_files_and_a_batch_of_it_leave_the_rest_on_the_disk(module, on_disk, mixed):
    sequences = on_disk(mixed)
    expected = module.Sequences(*(module.Group(np.array(X), np.array(t)) for X, t in sequences.groups))
    tracemalloc.start()
    try:
        parts = sequences.split(0.25, seed=1)
        batch = parts[0].take(np.array([70_000, 3, 40_000]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5e6  # the numbers of the rows; X has 16 MB
    for part, of_memory in zip(parts, expected.split(0.25, seed=1), strict=True):
        assert len(part) == len(of_memory)
        for found, group in zip(part.groups, of_memory.groups, strict=True):
            assert isinstance(found.X, module.Unread)
            np.testing.assert_array_equal(found.X, group.X)
            np.testing.assert_array_equal(found.t, group.t)
    for X, t in batch.groups:
        assert type(X) is type(t) is np.ndarray
        np.testing.assert_array_equal(X[:, 0], t)
    assert len(batch) == 3


def test_rows_that_are_not_read_are_like_an_array_of_them(module):
    array = np.arange(24.0).reshape(6, 2, 2)
    rows = np.array([4, 0, 5])
    unread, read = module.Unread(array, rows), array[rows]
    assert (len(unread), unread.shape, unread.ndim, unread.dtype) == (3, read.shape, read.ndim, read.dtype)
    assert np.shape(unread) == read.shape
    for chosen in (slice(1, None), slice(0, 0), np.array([2, 2, 0]), np.array([], int), 1, -1):
        np.testing.assert_array_equal(unread[chosen], read[chosen])
    np.testing.assert_array_equal(unread, read)
    assert np.asarray(unread, np.float32).dtype == np.float32
    assert module.Unread(array, rows, np.float32)[:2].dtype == np.float32
    with pytest.raises(IndexError):
        unread[np.array([3])]
    with pytest.raises(ValueError, match="can only be copied"):
        np.asarray(unread, copy=False)
    np.testing.assert_array_equal(module.select(module.select(module.Unread(array, rows), rows[1:2]), [0]), array[[4]])


def test_blocks_cover_all_rows_once_and_are_small(module):
    for shape in [(1, 1), (10, 10**6), (10**6, 3), (7,), (10**5, 5, 2)]:
        array = np.broadcast_to(np.float64(0), shape)
        covered = list(module.blocks(array))
        assert [block.start for block in covered] == [0, *(block.stop for block in covered[:-1])]
        assert covered[-1].stop == len(array)
        assert all(array[block].nbytes <= module.BLOCK_BYTES or len(array[block]) == 1 for block in covered)


def test_a_run_over_files_is_a_run_over_arrays_and_its_checkpoint_knows_it(net, save, savez, tmp_path):
    X, t, lengths = random.normal(size=(40, 4)), random.normal(size=40), random.integers(1, 5, size=40)
    npy = [save(f"{name}.npy", array) for name, array in (("X", X), ("t", t), ("lengths", lengths))]
    words = ("--epochs", 12, "--batch", 7, "--validation", 0.25, "--learning-rate", 0.01, "--quiet", "--json")
    of_files = net.main("linear", "--data", *npy, *words, "--checkpoint", tmp_path / "run.npz")
    of_arrays = net.main("linear", "--data", savez(X=X, t=t, lengths=lengths), *words)
    assert of_files.code == of_arrays.code == 0
    assert of_files.out == of_arrays.out
    again = net.main("linear", "--data", *npy, *words, "--checkpoint", tmp_path / "run.npz", "--resume")
    assert (again.code, again.out) == (0, of_files.out)
    save("X.npy", -X)
    other = net.main("linear", "--data", *npy, *words, "--checkpoint", tmp_path / "run.npz", "--resume").bad_input()
    assert "is of other data" in other
