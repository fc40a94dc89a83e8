import pytest

from penjing.engines.fake import Fake
from penjing.engines.kinds import kind, kinds
from penjing.engines.llamacpp import LlamaCpp
from penjing.engines.remote import Remote
from penjing.errors import UnknownOption

MEMBERS = ("name", "address", "capabilities", "progress", "start", "ready", "ended", "stop")


def test_built_in_kinds_come_through_the_hook() -> None:
    assert {"fake": Fake, "llamacpp": LlamaCpp, "remote": Remote}.items() <= {
        name: kind(name) for name in kinds()
    }.items()


def test_every_kind_is_an_engine() -> None:
    for name in kinds():
        assert not [member for member in MEMBERS if not hasattr(kind(name), member)]


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(UnknownOption, match="abacus"):
        kind("abacus")
