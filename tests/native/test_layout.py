import ctypes

import pytest

from penjing.native import layout
from penjing.native.faults import LayoutUnknown


@pytest.fixture
def forgetful() -> object:
    """Layouts are looked at once a process; these tests look again."""
    layout.known.cache_clear()
    yield
    layout.known.cache_clear()


def test_the_installed_library_is_known() -> None:
    known = layout.known()
    assert known.layout.name == "xllamacpp 2026.10"
    assert known.context_params().batch == 2048
    assert known.model_params().use_extra_bufts


def test_another_layout_is_refused(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LAYOUTS", layout.LAYOUTS[1:])
    with pytest.raises(LayoutUnknown, match="llama_model_params"):
        layout.known()


def test_a_default_that_moved_is_noticed(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = layout.LAYOUTS[0]
    moved = layout.Layout("moved", whole.model, (("new", ctypes.c_uint32, layout.ANY), *whole.context))
    monkeypatch.setattr(layout, "LAYOUTS", (moved,))
    with pytest.raises(LayoutUnknown, match=r"llama_context_params .*\(ctx\)"):
        layout.known()


def test_another_batch_is_noticed(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(ctypes.Structure):
        _fields_ = layout.Batch._fields_[:1] + layout.Batch._fields_[2:] + layout.Batch._fields_[1:2]

    monkeypatch.setattr(layout, "Batch", Other)
    with pytest.raises(LayoutUnknown, match="llama_batch"):
        layout.known()
