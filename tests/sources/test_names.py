"""What people write for models elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.sources.faults import NotAReference
from penjing.sources.names import Reference, parse, remote, safe

KNOWN = {
    "hf:Qwen/Qwen3-4B-GGUF": Reference("hf", "Qwen/Qwen3-4B-GGUF"),
    "hf:gpt2": Reference("hf", "gpt2"),
    "hf:o/r@v1.0:Q4_K_M": Reference("hf", "o/r", "v1.0", "Q4_K_M"),
    "hf:o/r@refs/pr/3": Reference("hf", "o/r", "refs/pr/3"),
    "hf:o/r:folder/file.gguf": Reference("hf", "o/r", "", "folder/file.gguf"),
    "ms:o/r@master": Reference("ms", "o/r", "master"),
    "hf.co/o/r:Q8_0": Reference("hf", "o/r", "", "Q8_0"),
    "https://huggingface.co/o/r": Reference("hf", "o/r"),
    "https://huggingface.co/o/r/tree/main": Reference("hf", "o/r", "main"),
    "https://huggingface.co/o/r/blob/main/a%20b.gguf?download=true": Reference("hf", "o/r", "main", "a b.gguf"),
    "https://hf-mirror.com/o/r/resolve/v1/x/y.gguf": Reference("hf", "o/r", "v1", "x/y.gguf"),
    "https://modelscope.cn/models/o/r": Reference("ms", "o/r"),
    "https://www.modelscope.cn/models/o/r/file/view/master/y.gguf": Reference("ms", "o/r", "master", "y.gguf"),
    "https://office:8443/m.gguf": Reference("https", "https://office:8443/m.gguf"),
    "http://office/m.gguf#sha256=" + "Ab" * 32: Reference("http", "http://office/m.gguf", "", "sha256=" + "ab" * 32),
    "file:/models/m.gguf": Reference("file", "/models/m.gguf"),
    "file:///models/a%20b.gguf": Reference("file", "/models/a b.gguf"),
    "file:models": Reference("file", "models"),
    "hub:office-guide:3": Reference("hub", "office-guide", "3"),
    "qwen3:0.6b": Reference("catalogue", "qwen3:0.6b"),
    "qwen3:0.6b:Q8_0": Reference("catalogue", "qwen3:0.6b", "", "Q8_0"),
    "tinyllama": Reference("catalogue", "tinyllama"),
}


@pytest.mark.parametrize(("text", "wanted"), KNOWN.items(), ids=str)
def test_what_is_written_is_understood(text: str, wanted: Reference) -> None:
    assert parse(text) == wanted
    assert parse(str(wanted)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("", " hf:o/r", "hf:", "hf:/", "hf:o/r/s", "ms:alone", "hf:o/r@", "hf:o/../r", "hf:o/r:../../etc/passwd"),
        *("hf:o/r:/etc/passwd", "hf:o/r:C:\\x", "https://", "https://user:secret@host/m.gguf", "http://host:0/x"),
        *("https://host/m.gguf#md5=1", "https://huggingface.co/datasets/o/r", "file:", "file://elsewhere/x", "hub:"),
        *("two words", "a/b/c", "x\ny", "-x", "a:b:c:d"),
    ],
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(NotAReference) as refused:
        parse(text)
    assert "hf:OWNER/REPO" in refused.value.advice("en")


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(NotAReference) as refused:
        parse("https://user:secret@host/m.gguf")
    assert "secret" not in refused.value.message("en")


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused_and_stays_where_it_belongs(text: str) -> None:
    try:
        found = parse(text)
    except NotAReference:
        return
    assert parse(str(found)) == found
    assert safe(found.pick)


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}/[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.from_regex(r"([A-Za-z0-9._-]{1,10}(/[A-Za-z0-9_-]{1,5})?)?", fullmatch=True),
    st.from_regex(r"([A-Za-z0-9_-]{1,10}(/[A-Za-z0-9_-]{1,5})?(\.gguf)?)?", fullmatch=True),
)
def test_repositories_are_read_back_as_they_are_shown(place: str, revision: str, pick: str) -> None:
    if ".." in place:
        return
    wanted = Reference("hf", place, revision, pick)
    assert parse(str(wanted)) == wanted


def test_only_what_has_a_scheme_is_surely_elsewhere() -> None:
    assert remote("hf:o/r")
    assert remote("https://host/x")
    assert remote("hf.co/o/r")
    assert not remote("qwen3:0.6b")
    assert not remote("models/file.gguf")
