"""Tasks: what they are, that they are what they say, and that an example that names one trains."""

from dataclasses import replace

import numpy as np
import pytest

from derive import CellError
from derive.backends.numpy.examples import print_task_example
from derive.backends.numpy.network_code import print_network
from derive.cells import binary_adder, character_model, lstm
from derive.mathematics.pipeline import write_derivation
from derive.output.task_checks import check_task

TEXT = "the cat sat on the mat, and that was that. " * 20


@pytest.fixture
def tasks(bare_net):
    return bare_net.module("trainer.data.tasks")


@pytest.fixture(scope="module")
def sources():
    """network.py and example.py of cells, with fewer epochs."""
    few = {binary_adder.cell: 3, character_model.cell: 2}
    return {
        cell.name: (
            print_network(write_derivation(cell)),
            print_task_example(cell, replace(cell.example, epochs=epochs)),
        )
        for cell, epochs in few.items()
    }


@pytest.fixture
def net_of_tasks(bare_net, sources):
    """A package with cells whose examples name a task."""
    for name, (network, example) in sources.items():
        bare_net.add_cell(name, example=example)
        (bare_net.folder / name / "network.py").write_text(network, encoding="utf-8")
    return bare_net


def test_binary_numbers_are_added_least_significant_bit_first(tasks):
    task = tasks.binary_addition(examples=50, bits=5, seed=3)
    assert (task.X.shape, task.t.shape) == ((50, 5, 2), (50, 5, 1))
    places = 2 ** np.arange(5)
    first, second = (places @ task.X[..., number].T for number in (0, 1))
    np.testing.assert_array_equal(first + second, places @ task.t[..., 0].T)
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 50
    assert max(*first, *second) < 16


def test_unseen_additions_are_counted(tasks):
    def adds(X):
        sums = 2 ** np.arange(7) @ np.moveaxis(X, -1, 0).sum(axis=0).T
        return (sums[:, np.newaxis, np.newaxis] >> np.arange(7)[:, np.newaxis] & 1) - 0.5

    show = tasks.binary_addition(examples=2_000, bits=7, seed=3).show
    *sums, count = show(adds)
    assert count == "2000 of 2000 unseen additions are right in all bits"
    assert all(int(line.split()[0], 2) + int(line.split()[2], 2) == int(line.split()[4], 2) for line in sums)
    *sums, count = show(lambda X: adds(X) * np.where(np.arange(7) == 6, -1, 1)[:, np.newaxis])
    assert count.startswith("0 of 2000")
    assert all(line.endswith("which is wrong") for line in sums)


def test_the_marked_numbers_are_added(tasks):
    task = tasks.adding_problem(examples=20, steps=7, seed=3)
    assert (task.X.shape, task.t.shape) == ((20, 7, 2), (20, 1))
    np.testing.assert_array_equal(task.X[:, :3, 1].sum(axis=1), 1)
    np.testing.assert_array_equal(task.X[:, 3:, 1].sum(axis=1), 1)
    np.testing.assert_allclose(np.sum(task.X[..., 0] * task.X[..., 1], axis=1), task.t[:, 0])
    right = task.show(lambda X: np.sum(X[..., 0] * X[..., 1], axis=1, keepdims=True))
    assert "2000 unseen sequences: 0 " in right[-1] or "e-" in right[-1]
    always_one = task.show(lambda X: np.ones((len(X), 1)))
    assert float(always_one[-1].split("sequences: ")[1].split()[0]) == pytest.approx(1 / 6, rel=0.1)


def test_the_next_character_is_the_one_that_follows(tasks):
    task = tasks.next_character(steps=10, seed=3, text=TEXT)
    alphabet = sorted(set(TEXT))
    assert task.X.shape == (*task.t.shape, len(alphabet))
    read = ["".join(alphabet[place] for place in window) for window in np.argmax(task.X, axis=-1)]
    follows = ["".join(alphabet[place] for place in window) for window in task.t]
    assert all(
        window[1:] == after[:-1] and window + after[-1] in TEXT for window, after in zip(read, follows, strict=True)
    )
    assert (read[0], read[1]) == (TEXT[:10], TEXT[5:15])


def test_who_knows_the_frequencies_has_the_entropy_of_them(tasks):
    task = tasks.next_character(steps=10, seed=3, text=TEXT)
    shares = np.array([TEXT.count(character) for character in sorted(set(TEXT))]) / len(TEXT)
    first, *_, all_of_it = task.show(lambda X: np.broadcast_to(np.log(shares), X.shape))
    loss, entropy = (
        float(word) for word in first.removesuffix("each is").replace(";", "").split() if word[0].isdigit()
    )
    assert entropy == pytest.approx(-np.sum(shares * np.log(shares)), abs=1e-3)
    assert loss == pytest.approx(entropy, abs=0.03)
    given, written = all_of_it.split("|")
    assert given == TEXT[:10]
    assert len(written) == 200
    assert set(written) <= set(TEXT)


def test_the_nursery_rhyme_says_all_verses_once_more(tasks):
    verses = tasks.nursery_rhyme().strip().split("\n\n")
    assert verses[0] == "This is the house that Jack built."
    assert verses[2] == "This is the rat,\nThat ate the malt\nThat lay in the house that Jack built."
    assert len(verses) == 11


@pytest.mark.parametrize(
    ("task", "arguments", "fact"),
    [
        ("binary_addition", {"examples": 16, "bits": 3, "seed": 1}, "leave none unseen"),
        ("adding_problem", {"examples": 16, "steps": 1, "seed": 1}, "give 2 or more"),
        ("next_character", {"steps": 25, "seed": 1, "text": "too short"}, "give a longer one"),
        ("next_character", {"steps": 2, "seed": 1, "text": "aaaaaaa"}, "1 of them different"),
    ],
)
def test_a_task_that_cannot_be_made_is_refused(tasks, bare_net, task, arguments, fact):
    with pytest.raises(bare_net.module("trainer.errors").InputError, match=fact):
        getattr(tasks, task)(**arguments)


def test_an_example_that_names_a_task_trains(net_of_tasks):
    done = net_of_tasks.main("binary_adder")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "binary_adder: 2000 sequences of 7 steps, 3 epochs, done"
    assert lines[2] == "learning rate  0.02, adam, batches of 100"
    assert lines[-1].endswith("of 2000 unseen additions are right in all bits")
    assert net_of_tasks.main("binary_adder").out == done.out
    assert net_of_tasks.main("binary_adder", "--seed", 7).out != done.out


def test_a_text_of_the_user_is_learnt(net_of_tasks, write):
    text = write("mine.txt", TEXT)
    done = net_of_tasks.main("character_model", "--data", text, "--epochs", 1)
    assert f"{len(set(TEXT))} x 64" in done.out.splitlines()[3]
    assert set(done.out.splitlines()[-1]) <= {*TEXT, "|"}
    assert "is not UTF-8" in net_of_tasks.main("character_model", "--data", write("a.txt", b"\xff\xfe")).bad_input()
    assert "longer one" in net_of_tasks.main("character_model", "--data", write("a.txt", "short")).bad_input()
    assert "unknown extension '.txt'" in net_of_tasks.main("binary_adder", "--data", text).bad_input()


def test_data_of_the_user_are_shown_in_place_of_the_task(net_of_tasks, savez):
    data = savez(X=np.zeros((4, 3, 2)), t=np.zeros((4, 3, 1)))
    done = net_of_tasks.main("binary_adder", "--data", data, "--epochs", 0)
    assert "unseen" not in done.out
    assert "sequence 3" in done.out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "binary_adition"}, "task: 'binary_adition' is unknown; did you mean binary_addition?"),
        ({"task": "chess"}, "task: 'chess' is unknown; there is adding_problem, binary_addition, next_character"),
        ({"arguments": {"examples": 9, "step": 9, "seed": 1}}, "arguments: 'step' is unknown; did you mean steps?"),
        ({"arguments": {"examples": 9, "seed": 1}}, "arguments: adding_problem needs steps; give it"),
        ({"arguments": {"examples": -1, "steps": 9, "seed": 1}}, "examples is -1; give a whole number, 0 or more"),
        ({"sizes": {}}, "sizes: H is missing; give each of H"),
        ({"sizes": {"h": 3}}, "sizes: 'h' is unknown; there is H"),
        ({"sizes": {"H": 3, "D": 2}}, "sizes: the data tell D; leave it out"),
        ({"sizes": {"H": 2.5}}, "sizes: H is 2.5; give a whole number, 1 or more"),
        ({"start": {"bg1": 3}}, "start: 'bg1' is unknown; did you mean bg?"),
        ({"start": {"bf": float("nan")}}, "start: bf is nan; give a finite number"),
        ({"method": "adams"}, "method: 'adams' is unknown; did you mean adam?"),
        ({"learning_rate": 0}, "learning_rate: it is 0; give a positive number"),
        ({"batch": 0}, "batch: it is 0; give a whole number, 1 or more"),
        ({"epochs": -1}, "epochs: it is -1; give a whole number, 0 or more"),
    ],
)
def test_a_mistake_in_an_example_is_refused(changes, message):
    with pytest.raises(CellError) as error:
        check_task(replace(lstm.cell, example=replace(lstm.cell.example, **changes)))
    assert message in str(error.value)
