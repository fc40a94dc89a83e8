from hypothesis import given
from hypothesis import strategies as st

from penjing.engines.llamacpp.settings import Settings


@given(st.builds(Settings, lora=st.lists(st.tuples(st.text(), st.floats(-4, 4))).map(tuple)))
def test_one_line_there_and_back(settings: Settings) -> None:
    line = settings.encode()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Settings.decode(line) == settings


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Settings("m", "n", 1, 1, 1, 1, 1, 1, key="secret"))
