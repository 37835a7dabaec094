"""Names that no file can have: each is refused in one line, before anything is written."""

import pytest

ODD = ["circle", 300 * "a", "a\0b"]


@pytest.fixture(params=ODD, ids=["links in a circle", "too long", "NUL"])
def odd(request, tmp_path):
    """From an ending to a path that the operating system refuses."""

    def odd(ending):
        path = tmp_path / f"{request.param}{ending}"
        if request.param == "circle":
            path.symlink_to(path)
        return path

    return odd


def refused(net, *words, command="train"):
    before = sorted(net.folder.parent.iterdir())
    message = net.main("linear", *words, command=command).bad_input(command)
    assert sorted(net.folder.parent.iterdir()) == before
    for why in ("Too many levels of symbolic links", "File name too long", "its name holds NUL"):
        if why in message:
            return message.replace(why, "it is odd")
    return pytest.fail(f"no reason in {message}")


@pytest.mark.parametrize(
    ("option", "ending"), [("output", ".json"), ("checkpoint", ".npz"), ("log", ".csv"), ("plot", ".svg")]
)
def test_what_is_written(net, odd, option, ending):
    path = odd(ending)
    message = refused(net, f"--{option}", path)
    assert f"--{option} {path} cannot be used: it is odd: name another file" in message


@pytest.mark.parametrize("ending", [".csv", ".npz", ""])
def test_the_data(net, odd, ending):
    path = odd(ending)
    assert f"--data {path} cannot be used: it is odd: name another file" in refused(net, "--data", path)


def test_one_of_several_files(net, odd, save):
    path, there = odd(".npy"), save("there.npy", [1.0])
    for paths in [(path, there), (there, path), (there, there, path)]:
        assert f"--data {path} cannot be used: it is odd" in refused(net, "--data", *paths)


@pytest.mark.parametrize("command", ["train", "check", "gradients"])
def test_the_weights_to_start_from(net, odd, command):
    path = odd(".json")
    message = refused(net, "--init", path, command=command)
    assert f"--init {path} cannot be read: it is odd: name another file" in message


@pytest.mark.parametrize("command", ["check", "gradients"])
@pytest.mark.parametrize("ending", [".csv", ".npz"])
def test_the_data_of_the_commands_that_train_nothing(net, odd, command, ending):
    path = odd(ending)
    assert f"{path} cannot be read: it is odd: name another file" in refused(net, "--data", path, command=command)


def test_the_figure_of_the_gradients(net, odd):
    path = odd(".svg")
    message = refused(net, "--plot", path, command="gradients")
    assert f"--plot {path} cannot be used: it is odd: name another file" in message


def test_a_link_to_nothing_is_a_name_like_any_other(net, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "weights.json")
    assert net.main("linear", "--epochs", 1, "--output", link).code == 0
    assert link.is_symlink()
    assert (tmp_path / "weights.json").is_file()
