"""The verb `audit`: whether the log of requests is as it was written, and what it holds."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from penjing.cli import talk
from penjing.cli.family import family
from penjing.cli.table import print_rows
from penjing.cli.verb import option, verb
from penjing.errors import InputError
from penjing.files import expanded
from penjing.language import say

FOLDER = "The log's folder; those of servers on this machine where not given."


class NoLog(InputError):
    """Facts: `folder`."""

    template = "There is no audit log in {folder}."
    hint = "Keep one: [audit] enabled = true in the settings of the server."
    code = "no_audit_log"


class LogTampered(InputError):
    """Facts: `count`."""

    template = "The audit log is not as it was written: {count} faults."
    hint = "They are named above; compare with a copy."
    code = "audit_tampered"
    exit_code = 1


class NotATime(InputError):
    """Facts: `option`, `value`."""

    template = "{option} {value}: this is not a day or a time."
    hint = "Write it as 2026-11-21 or 2026-11-21T14:30 (local time)."
    code = "invalid_value"


@verb(
    "verify",
    help="Find records that were changed, taken out or put in another order.",
    examples=(
        ("penjing audit verify", "The logs of this machine's servers."),
        (
            "PENJING_AUDIT_SECRET=... penjing audit verify --folder /backup/audit",
            "A copy, with the secret of its chain.",
        ),
    ),
)
@option("--folder", metavar="FOLDER", help=FOLDER)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify_log(folder: str | None, as_json: bool) -> None:
    """The door. Exits with 1 where something is wrong."""
    from penjing.gateway.audit.verify import verify
    from penjing.gateway.policies.audit import SECRET

    secret = os.environ.get(SECRET, "").encode()
    found = {str(place): verify(place, secret) for place in _folders(folder)}
    faults = [(place, fault) for place, each in found.items() for fault in each.faults]
    if as_json:
        talk.data_json([_plain(place, each) for place, each in found.items()])
    else:
        for place, each in found.items():
            talk.data(
                say(
                    "{folder}: {records} records in {files} files", folder=place, records=each.records, files=each.files
                )
            )
        if faults:
            print_rows([(say("FILE"), say("LINE"), say("FAULT"))] + [_row(place, fault) for place, fault in faults])
        else:
            talk.data(say("Every record is as it was written."))
    if faults:
        raise LogTampered(count=len(faults))


def _plain(place: str, each: Any) -> dict[str, object]:
    faults = [{"file": fault.file, "line": fault.line, "what": fault.what} for fault in each.faults]
    return {"folder": place, "files": each.files, "records": each.records, "last": each.last, "faults": faults}


def _row(place: str, fault: Any) -> tuple[str, str, str]:
    return str(Path(place) / fault.file), str(fault.line or ""), fault.what


@verb(
    "export",
    help="Print the records of requests.",
    examples=(
        ("penjing audit export --from 2026-11-01 --format csv --output november.csv", "A month as a table."),
        ("penjing audit export --key laptop", "All that one API key asked, as JSON lines."),
    ),
)
@option("--folder", metavar="FOLDER", help=FOLDER)
@option("--from", "since", metavar="TIME", help="Records from this day or time on.")
@option("--to", "until", metavar="TIME", help="Records before this day or time.")
@option("--key", metavar="NAME", default="", help="Records of this API key.")
@option("--format", "form", metavar="jsonl|csv", default="jsonl", help="jsonl where not given.")
@option("--output", metavar="FILE", help="Write to FILE instead of stdout.")
def export_log(
    folder: str | None, since: str | None, until: str | None, key: str, form: str, output: str | None
) -> None:
    """The door."""
    from penjing.errors import SettingError
    from penjing.files import writing
    from penjing.gateway.audit.export import jsonl, records, table

    forms = {"jsonl": jsonl, "csv": table}
    if form not in forms:
        raise SettingError(name="format", value=form, wanted="jsonl or csv", source="--format")
    found = records(_folders(folder), _time("--from", since), _time("--to", until), key)
    lines = forms[form](found)
    if output is None:
        for line in lines:
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    with writing(expanded(output), private=True) as stream:
        stream.writelines(lines)
    talk.note("Written: {path}", path=output)


def _folders(given: str | None) -> list[Path]:
    from penjing.files import home
    from penjing.gateway.audit.files import numbered, places

    found = [expanded(given)] if given else places(home())
    if not any(numbered(folder) for folder in found):
        raise NoLog(folder=str(expanded(given) if given else home() / "audit"))
    return found


def _time(name: str, given: str | None) -> str:
    """A local day or time as the log has times. Raises NotATime."""
    if given is None:
        return ""
    try:
        local = datetime.fromisoformat(given)
    except ValueError:
        raise NotATime(option=name, value=given) from None
    return local.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


audit = family(
    "audit",
    "Check or read the log of who asked which model what.",
    (verify_log, export_log),
    (("penjing audit verify", "Is the log as it was written?"),),
)
