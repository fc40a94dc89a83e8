"""`penjing hub serve`."""

from __future__ import annotations

from penjing.cli import talk
from penjing.cli.verb import option, verb


@verb(
    "serve",
    help="Run a hub here, until Ctrl-C. It needs: pip install 'penjing[hub]'",
    examples=(
        ("penjing hub serve", "For this machine only, on http://127.0.0.1:8800."),
        ("penjing hub serve --host 0.0.0.0 --private", "For the network; who reads needs a key."),
        ("penjing hub serve --database postgresql://USER:PASSWORD@HOST/NAME", "On PostgreSQL."),
        ("penjing hub serve --blobs s3://BUCKET/PREFIX", "Chunks in storage that speaks S3."),
    ),
)
@option("--host", metavar="ADDRESS", help="The address to listen on.")
@option("--port", metavar="PORT", help="The port to listen on (8800; 0: a free one).")
@option(
    "--database", metavar="URL", help="sqlite:///FILE or postgresql://...; a file of penjing's folder where not given."
)
@option("--blobs", metavar="DIR|URL", help="Where chunks are kept: a folder, or s3://BUCKET/PREFIX.")
@option("--private", is_flag=True, default=None, help="Who reads versions and chunks needs a key too.")
@option("--every", metavar="SECONDS", help="How often devices ask (60).")
@option("--mirrors", metavar="URL,...", help="Where devices look for chunks before they ask the hub.")
@option("--log", metavar="FILE", help="Write a line of JSON for each request there.")
def serve(
    host: str | None,
    port: str | None,
    database: str | None,
    blobs: str | None,
    private: bool | None,
    every: str | None,
    mirrors: str | None,
    log: str | None,
) -> None:
    """The door."""
    from penjing.fleet.hub.serve import run
    from penjing.fleet.settings import HubSettings, key_path
    from penjing.settings import load

    given = {"host": host, "port": port, "database": database, "blobs": blobs, "private": private, "every": every}
    settings = load(HubSettings, "hub", {**given, "mirrors": mirrors, "log": log}).value

    def listening(url: str, made: bool) -> None:
        talk.data(url)
        talk.note("The hub listens on {url}. Ctrl-C stops it.", url=url)
        if made:
            talk.note("Who has the key in {path} may publish.", path=key_path())

    run(settings, listening)
