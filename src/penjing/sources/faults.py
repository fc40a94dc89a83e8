"""What can be wrong between here and a model's source, one class a fault.

    InputError
    ├── NotAReference     UnknownScheme  NoSuchQuantization  NoSuchRemoteFile
    NetworkError          (HTTP 502, exit 6)
    ├── SourceUnreachable
    ├── SourceFailed      TooManyRequests
    ├── ForeignAnswer     WrongLength  NoRanges  ChangedMeanwhile
    └── Offline
    ModelNotFound
    └── NoSuchRepository  NoSuchRevision
    AccessError
    └── LoginNeeded       Gated

Does not know: which source speaks.
"""

from __future__ import annotations

from penjing.errors import AccessError, InputError, ModelNotFound, PenjingError

FORMS = "hf:OWNER/REPO[@REVISION][:FILE or QUANTIZATION], ms:OWNER/REPO, https://..., file:PATH, hub:NAME[:VERSION]"


class NotAReference(InputError):
    """Facts: `text`, `detail`."""

    template = "'{text}' does not say where a model is: {detail}"
    hint = f"What can be written: {FORMS}"
    code = "not_a_reference"


class UnknownScheme(NotAReference):
    """Facts: `text`, `scheme`, `known` (comma-separated)."""

    template = "'{text}': '{scheme}:' is no source that penjing knows."
    hint = "Known here: {known}"


class NoSuchQuantization(InputError):
    """Facts: `place`, `pick`, `known` (comma-separated)."""

    template = "{place} has neither a file nor a quantization called '{pick}'."
    hint = "It has: {known}"
    code = "no_such_quantization"


class NoSuchRemoteFile(InputError):
    """Facts: `place`, `path`, `revision`."""

    template = "{place} has no file '{path}' at revision {revision}."
    hint = "Leave the file out to see what is there: penjing pull {place} --list"
    code = "no_such_file"
    status = 404


class NetworkError(PenjingError):
    """The way to a model's source failed. Facts: `detail`."""

    template = "The network failed: {detail}"
    code = "network_error"
    status = 502
    exit_code = 6


class SourceUnreachable(NetworkError):
    """Facts: `host`, `detail`."""

    template = "{host} cannot be reached: {detail}"
    hint = "Is this machine online? Behind a proxy set HTTPS_PROXY; a mirror of Hugging Face: HF_ENDPOINT=URL."
    code = "source_unreachable"


class SourceFailed(NetworkError):
    """Facts: `host`, `status`, `attempts`."""

    template = "{host} answered HTTP {status} {attempts} times."
    hint = "Try again later; what was already downloaded is kept."
    code = "source_failed"


class TooManyRequests(SourceFailed):
    """Facts: `host`, `status`, `attempts`, `seconds` (until it may answer again)."""

    template = "{host} has had too many requests from here; it asks to wait {seconds} s."
    hint = "Try again then; signed-in users may ask more often: set HF_TOKEN (or MODELSCOPE_API_TOKEN)."
    code = "source_too_many_requests"


class ForeignAnswer(NetworkError):
    """Facts: `url`, `detail`."""

    template = "{url} answered something else than was asked for: {detail}"
    hint = "Is there a login page or a filter in between? Open the address in a browser."
    code = "source_foreign"


class WrongLength(ForeignAnswer):
    """Facts: `url`, `got`, `wanted` (bytes)."""

    template = "{url} has {got} bytes where its source lists {wanted}."
    hint = "The file may just have been replaced, or a mirror is out of date; try again, or without HF_ENDPOINT."
    code = "source_wrong_length"


class NoRanges(ForeignAnswer):
    """Facts: `url`."""

    template = "{url} cannot be read in parts: its server ignores ranges."
    hint = "Download it whole: penjing pull {url}"
    code = "source_no_ranges"


class ChangedMeanwhile(ForeignAnswer):
    """Facts: `url`."""

    template = "{url} changed while it was being read."
    hint = "Try again: the new file is then read from its beginning."
    code = "source_changed"


class Offline(NetworkError):
    """Facts: `variable`."""

    template = "{variable} is set, so nothing is asked of the network."
    hint = "Unset it to download: unset {variable}"
    code = "offline"


class NoSuchRepository(ModelNotFound):
    """Facts: `model` (as it was written), `host`, `place`."""

    template = "{host} has no model '{place}' that can be seen from here."
    hint = "See how it is spelled there. Is it private? Then sign in first: set HF_TOKEN (or MODELSCOPE_API_TOKEN)."


class NoSuchRevision(NoSuchRepository):
    """Facts: `model`, `host`, `place`, `revision`."""

    template = "{place} on {host} has no revision '{revision}'."
    hint = "Leave @{revision} out to take the newest."


class LoginNeeded(AccessError):
    """Facts: `host`, `place`."""

    template = "{host} shows '{place}' only to those who are signed in and may see it (or it does not exist)."
    hint = "See how it is spelled; if it is right, make a token on {host} and set it: export HF_TOKEN=..."
    code = "source_login_needed"


class Gated(LoginNeeded):
    """Facts: `host`, `place`, `page` (URL), `word` (whether a token was sent)."""

    template = "'{place}' is gated: its owner gives it only to those who have accepted its licence on {host}. {word}"
    hint = "Open {page} in a browser, accept the licence there, make a token and set it: export HF_TOKEN=..."
    code = "source_gated"
