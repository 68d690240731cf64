"""nginx with ModSecurity 3 (Debian's libnginx-mod-http-modsecurity) and the Core Rule Set.

It is the plain nginx of `nginx.py` with the same rules as the gateway: the release that Debian packages, or a
checkout. ModSecurity is set up as the configuration that comes with it says, which is what everybody begins
with, but for this:

- the engine is on, and looks at no answers, as the gateway looks at none;
- a pattern may take the 100,000 steps that the Core Rule Set's own containers allow: at 1,000 its rules give
  up on common text;
- the audit log has one event as JSON for a request that a rule refuses, as the gateway's has.
"""

from pathlib import Path
from typing import Final

from load.bench.peers.nginx import Nginx
from load.bench.peers.target import Guards, Site

MODULE: Final = Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so")
UNICODE: Final = Path("/etc/nginx/unicode.mapping")
_DEBIAN_SETUP: Final = Path("/etc/modsecurity/crs/crs-setup.conf")
_DEBIAN_RULES: Final = Path("/usr/share/modsecurity-crs/rules")

# The rules that ModSecurity's own configuration has: which reader a body gets, and what becomes of one that
# can't be read.
_RULES: Final = r"""
SecRuleEngine {engine}
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecResponseBodyAccess {answers}
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecArgumentSeparator &
SecCookieFormat 0
SecUnicodeMapFile {unicode} 20127
SecStatusEngine Off
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" \
    "id:200002,phase:2,t:none,log,deny,status:400,msg:'Failed to parse request body.',\
    logdata:'%{{reqbody_error_msg}}',severity:2"
SecRule &ARGS "@ge 1000" "id:200007,phase:2,t:none,log,deny,status:400,msg:'Too many arguments',severity:2"
SecRule TX:/^MSC_/ "!@streq 0" "id:200005,phase:2,t:none,deny,msg:'Internal error: %{{MATCHED_VAR_NAME}}'"
{audit}
Include {crs_setup}
{setup}
{includes}
"""

_AUDIT: Final = """
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^4"
SecAuditLogParts AHZ
SecAuditLogType Serial
SecAuditLogFormat JSON
SecAuditLog {folder}/audit.log
"""


class Modsecurity(Nginx):
    """A running nginx with ModSecurity."""

    def modules(self) -> str:
        """Load the module."""
        return f"load_module {MODULE};"

    def http(self, site: Site, guards: Guards) -> str:
        """Run the rules for everything, beside the limits of plain nginx."""
        file = site.folder / "rules.conf"
        audit = site.folder / "audit.log"
        audit.touch()
        audit.chmod(0o666)  # nginx's workers have no rights
        file.write_text(rules(guards.rules, audit=_AUDIT.format(folder=site.folder)), encoding="utf-8")
        return f"{super().http(site, guards)}\n    modsecurity on;\n    modsecurity_rules_file {file};\n"


def rules(
    checkout: Path | None, *, engine: str = "On", answers: bool = False, setup: str = "", audit: str = ""
) -> str:
    """Write ModSecurity's configuration.

    Args:
        checkout: the Core Rule Set; None for what Debian packages.
        engine: `On`, or `DetectionOnly`.
        answers: whether answers are looked at, too.
        setup: what stands between the setup file and the rules.
        audit: directives for the audit log.
    """
    folder = _DEBIAN_RULES if checkout is None else checkout / "rules"
    setup_file = _DEBIAN_SETUP if checkout is None else checkout / "crs-setup.conf"
    if not setup_file.is_file():
        setup_file = setup_file.with_name("crs-setup.conf.example")
    files = sorted(folder.glob("REQUEST-*.conf")) + (
        sorted(folder.glob("RESPONSE-*.conf")) if answers else []
    )
    return _RULES.format(
        engine=engine,
        answers="On" if answers else "Off",
        unicode=UNICODE,
        audit=audit,
        crs_setup=setup_file,
        setup=setup,
        includes="\n".join(f"Include {file}" for file in files),
    )
