"""The sign to shells' hooks: a file's name that is gone once anything changed, without a word to the agent."""

import os
from pathlib import Path

from agentkeys import paths
from agentkeys.agent.epoch import Epoch
from tests.agent.seat import Seat, eventually, watched


def sign(directory: Path) -> str:
    """The name that a hook remembers."""
    return (directory / paths.EPOCH).read_text()


def signs(directory: Path) -> list[str]:
    """All that is there of it."""
    return sorted(name for name in os.listdir(directory) if name.startswith(paths.EPOCH))


def test_each_sign_is_new_and_alone(tmp_path: Path) -> None:
    """Many within one tick of the file system's clock: each has another name, and the older are gone."""
    epoch = Epoch(str(tmp_path))
    seen = []
    for _ in range(100):
        epoch.begin()
        assert signs(tmp_path) == [paths.EPOCH, sign(tmp_path)]
        seen.append(sign(tmp_path))
    assert len(set(seen)) == 100


def test_each_is_a_second_later_than_the_one_before(tmp_path: Path) -> None:
    """direnv sees whole seconds of a watched file, and an agent may change twice in one."""
    epoch = Epoch(str(tmp_path))
    times = []
    for _ in range(3):
        epoch.begin()
        times.append(int((tmp_path / paths.EPOCH).stat().st_mtime))
    assert times[0] < times[1] < times[2]


def test_agents_of_one_owner_share_it(tmp_path: Path) -> None:
    """Either makes the other's sign obsolete, and so does who leaves; the last one's goes with it."""
    one, two = Epoch(str(tmp_path)), Epoch(str(tmp_path))
    one.begin()
    first = sign(tmp_path)
    two.begin()
    assert first not in signs(tmp_path)
    assert sign(tmp_path) in signs(tmp_path)
    second = sign(tmp_path)
    one.end()
    assert sign(tmp_path) != second
    assert signs(tmp_path) == [paths.EPOCH, sign(tmp_path)]
    one.end()
    assert signs(tmp_path) == []


def test_who_finds_the_named_one_gone_takes_the_newest(tmp_path: Path) -> None:
    """Two agents that change at once: the later file stays, whoever wrote its name last."""
    file = str(tmp_path / paths.EPOCH)
    assert paths.epoch_sign(file) == ""
    Epoch(str(tmp_path)).begin()
    assert paths.epoch_sign(file) == f"{tmp_path}/{sign(tmp_path)}"
    (tmp_path / "epoch-zz").touch()
    (tmp_path / sign(tmp_path)).unlink()
    assert paths.epoch_sign(file) == f"{tmp_path}/epoch-zz"


def test_where_nothing_can_be_written_nothing_happens(tmp_path: Path) -> None:
    """An agent whose home is gone goes on."""
    with Epoch(str(tmp_path / "gone")) as epoch:
        epoch.begin()
    assert not (tmp_path / "gone").exists()


def test_an_agent_gives_it_at_every_change_and_takes_it_along(rack: Seat) -> None:
    """Start, unlock, relock, expiry; after its end nothing is left."""
    rack.start()
    (directory,) = (rack.home.root / "run").glob("*/human")
    seen = [sign(directory)]
    for args in (["unlock", "--duration", "1s"], ["unlock"], ["relock"]):
        rack.cli(*args, check=True)
        assert sign(directory) not in seen
        seen.append(sign(directory))
    rack.cli("unlock", "--duration", "1s", check=True)
    seen.append(sign(directory))
    eventually(lambda: sign(directory) not in seen)
    rack.cli("exec", "--", "true")
    rack.cli("status", check=True)
    last = sign(directory)
    with watched(rack.pid) as gone:
        rack.cli("agent", "-k", check=True)
        gone()
    assert signs(directory) == []
    assert last not in seen


def test_a_killed_agents_sign_is_replaced_by_the_next(locked: Seat) -> None:
    """kill -9 leaves it; a shell that remembers it learns of the new agent all the same."""
    (directory,) = (locked.home.root / "run").glob("*/human")
    left = sign(directory)
    with watched(locked.pid) as gone:
        locked.process.kill()
        gone()
    assert signs(directory) == [paths.EPOCH, left]
    locked.start()
    assert left not in signs(directory)
