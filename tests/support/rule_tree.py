"""A small rule set of the repository's own, laid out as a release of the Core Rule Set is."""

from pathlib import Path
from typing import Final

VERSION: Final = "4.99.1"
FILES: Final = {
    "LICENSE": "Apache-2.0\n",
    "crs-setup.conf.example": """\
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecAction "id:900990,phase:1,pass,t:none,nolog,setvar:tx.crs_setup_version=4991"
SecCollectionTimeout 600
""",
    "rules/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf.example": "# exclusions\n",
    "rules/REQUEST-901-INITIALIZATION.conf": f"""\
SecComponentSignature "OWASP_CRS/{VERSION}"
SecRule &TX:blocking_paranoia_level "@eq 0" \\
    "id:901120,phase:1,pass,nolog,setvar:'tx.blocking_paranoia_level=1'"
SecAction "id:901320,phase:1,pass,nolog,initcol:ip=%{{REMOTE_ADDR}},setvar:'tx.real_ip=%{{REMOTE_ADDR}}'"
""",
    "rules/REQUEST-910-IP-REPUTATION.conf": """\
SecRule IP:REPUT_BLOCK_FLAG "@eq 1" "id:910000,phase:2,block,chain"
    SecRule TX:DO_REPUT_BLOCK "@eq 1" "setvar:tx.anomaly_score=+5"
""",
    "rules/REQUEST-913-SCANNER-DETECTION.conf": """\
SecRule REQUEST_HEADERS:User-Agent "@pmFromFile scanners.data" \\
    "id:913100,phase:1,block,capture,t:none,msg:'Scanner',logdata:'%{TX.0} in %{MATCHED_VAR_NAME}',\\
    tag:'attack-scanner',tag:'paranoia-level/1',severity:'CRITICAL',\\
    setvar:'tx.anomaly_score=+5',setvar:'ip.reput_block_flag=1',expirevar:'ip.reput_block_flag=300'"
""",
    "rules/REQUEST-942-SQLI.conf": """\
SecRule TX:BLOCKING_PARANOIA_LEVEL "@lt 1" "id:942011,phase:1,pass,nolog,skipAfter:END-942"
SecRule REQUEST_COOKIES|!REQUEST_COOKIES:/__utm/|ARGS|XML:/* "@rx (?i)union\\s+select" \\
    "id:942100,phase:2,block,capture,t:none,t:urlDecodeUni,msg:'SQL',tag:'attack-sqli',tag:'paranoia-level/1',\\
    severity:'CRITICAL',setvar:'tx.anomaly_score=+5'"
SecMarker "END-942"
""",
    "rules/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf.example": "# exclusions\n",
    "rules/scanners.data": "# scanners\nnikto\nsql map\n",
    "plugins/hello-config.conf": 'SecAction "id:9500001,phase:1,pass,nolog,setvar:tx.hello=1"\n',
    "plugins/hello-before.conf": 'SecAction "id:9500002,phase:1,pass,nolog"\n',
    "plugins/hello-after.conf": 'SecAction "id:9500003,phase:1,pass,nolog"\n',
}
IDS: Final = (900990, 9500001, 9500002, 901120, 901320, 913100, 942011, 942100, 9500003)


def write_tree(folder: Path, changed: dict[str, str] | None = None) -> Path:
    """Write the rule set into a folder, and return the folder.

    Args:
        folder: it need not be there.
        changed: files with another text than theirs.
    """
    for name, text in {**FILES, **(changed or {})}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder
