"""What SecLang knows, by the names of ModSecurity's manual (v3); and what is deliberately refused."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from bartizan.rules.problems import Mistake, Refusal

_PERSISTENT: Final = (
    "persistent collections are not kept; limits by address or client are routes' rate and concurrency"
)
_SCRIPT: Final = "programs and scripts are not run"


def _table(names: str) -> dict[str, str]:
    return {name.lower(): name for name in names.split()}


COLLECTIONS: Final = _table("""
    ARGS ARGS_GET ARGS_GET_NAMES ARGS_NAMES ARGS_POST ARGS_POST_NAMES FILES FILES_NAMES FILES_SIZES
    FILES_TMPNAMES FILES_TMP_CONTENT MATCHED_VARS MATCHED_VARS_NAMES MULTIPART_FILENAME MULTIPART_NAME
    MULTIPART_PART_HEADERS REQUEST_COOKIES REQUEST_COOKIES_NAMES REQUEST_HEADERS REQUEST_HEADERS_NAMES
    RESPONSE_HEADERS RESPONSE_HEADERS_NAMES RULE TX XML
""")
VARIABLES: Final = COLLECTIONS | _table("""
    ARGS_COMBINED_SIZE AUTH_TYPE DURATION FILES_COMBINED_SIZE FULL_REQUEST FULL_REQUEST_LENGTH
    HIGHEST_SEVERITY INBOUND_DATA_ERROR MATCHED_VAR MATCHED_VAR_NAME MODSEC_BUILD MULTIPART_BOUNDARY_QUOTED
    MULTIPART_BOUNDARY_WHITESPACE MULTIPART_CRLF_LF_LINES MULTIPART_DATA_AFTER MULTIPART_DATA_BEFORE
    MULTIPART_FILE_LIMIT_EXCEEDED MULTIPART_HEADER_FOLDING MULTIPART_INVALID_HEADER_FOLDING
    MULTIPART_INVALID_PART MULTIPART_INVALID_QUOTING MULTIPART_LF_LINE MULTIPART_MISSING_SEMICOLON
    MULTIPART_SEMICOLON_MISSING MULTIPART_STRICT_ERROR MULTIPART_UNMATCHED_BOUNDARY OUTBOUND_DATA_ERROR
    PATH_INFO QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_PORT REMOTE_USER REQBODY_ERROR REQBODY_ERROR_MSG
    REQBODY_PROCESSOR REQBODY_PROCESSOR_ERROR REQBODY_PROCESSOR_ERROR_MSG REQUEST_BASENAME REQUEST_BODY
    REQUEST_BODY_LENGTH REQUEST_FILENAME REQUEST_LINE REQUEST_METHOD REQUEST_PROTOCOL REQUEST_URI
    REQUEST_URI_RAW RESPONSE_BODY RESPONSE_CONTENT_LENGTH RESPONSE_CONTENT_TYPE RESPONSE_PROTOCOL
    RESPONSE_STATUS SERVER_ADDR SERVER_NAME SERVER_PORT STATUS_LINE TIME TIME_DAY TIME_EPOCH TIME_HOUR
    TIME_MIN TIME_MON TIME_SEC TIME_WDAY TIME_YEAR UNIQUE_ID URLENCODED_ERROR
""")
OPERATORS: Final = _table("""
    beginsWith contains containsWord detectSQLi detectXSS endsWith eq ge gt ipMatch ipMatchFromFile le lt
    noMatch pm pmFromFile rx rxGlobal streq strmatch unconditionalMatch validateByteRange
    validateUrlEncoding validateUtf8Encoding verifyCC verifyCPF verifySSN verifySVNR within
""") | {"ipmatchf": "ipMatchFromFile", "pmf": "pmFromFile"}
TRANSFORMATIONS: Final = _table("""
    base64Decode base64DecodeExt base64Encode cmdLine compressWhitespace cssDecode escapeSeqDecode hexDecode
    hexEncode htmlEntityDecode jsDecode length lowercase md5 none normalizePath normalizePathWin
    parityEven7bit parityOdd7bit parityZero7bit removeComments removeCommentsChar removeNulls
    removeWhitespace replaceComments replaceNulls sha1 sqlHexDecode trim trimLeft trimRight uppercase
    urlDecode urlDecodeUni urlEncode utf8toUnicode
""") | {"normalisepath": "normalizePath", "normalisepathwin": "normalizePathWin"}
DISRUPTIVE: Final = _table("allow block deny drop pass redirect")
ACTIONS: Final = DISRUPTIVE | _table("""
    accuracy auditlog capture chain ctl id log logdata maturity msg multiMatch noauditlog nolog phase rev
    setvar severity skipAfter status t tag ver
""")
CTLS: Final = _table("""
    auditEngine auditLogParts forceRequestBodyVariable parseXmlIntoArgs requestBodyAccess requestBodyLimit
    requestBodyProcessor responseBodyAccess ruleEngine ruleRemoveById ruleRemoveByMsg ruleRemoveByTag
    ruleRemoveTargetById ruleRemoveTargetByMsg ruleRemoveTargetByTag
""")
DIRECTIVES: Final = _table("""
    Include IncludeOptional SecAction SecComponentSignature SecDefaultAction SecMarker SecRule
    SecRuleRemoveById SecRuleRemoveByMsg SecRuleRemoveByTag SecRuleUpdateTargetById SecRuleUpdateTargetByMsg
    SecRuleUpdateTargetByTag
""")
SEVERITIES: Final = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")

PERSISTENT: Final = dict.fromkeys(("global", "ip", "resource", "session", "user"), _PERSISTENT)

_REFUSED: Final[dict[str, dict[str, str]]] = {
    "directive": {
        name.lower(): why
        for names, why in (
            (
                """
                    SecRuleEngine SecRequestBodyAccess SecRequestBodyLimit SecRequestBodyNoFilesLimit
                    SecRequestBodyLimitAction SecRequestBodyJsonDepthLimit SecResponseBodyAccess
                    SecResponseBodyLimit SecResponseBodyLimitAction SecResponseBodyMimeType
                    SecPcreMatchLimit SecPcreMatchLimitRecursion SecArgumentsLimit SecArgumentSeparator
                    SecCookieFormat SecUploadDir SecTmpDir SecDataDir SecUnicodeMapFile SecStatusEngine
                    SecDebugLog SecDebugLogLevel SecAuditEngine SecAuditLog SecAuditLogFormat
                    SecAuditLogParts SecAuditLogRelevantStatus SecAuditLogStorageDir SecAuditLogType
                """,
                "what is not about rules is set in the policy; take it out",
            ),
            ("SecCollectionTimeout", _PERSISTENT),
            ("SecRuleScript", _SCRIPT),
            ("SecRemoteRules", "rules are never fetched while the gateway runs; install them as files"),
            (
                "<Directory <Files <IfModule <IfVersion <Location <LocationMatch <VirtualHost",
                "a web server's sections are not read; a route's own rules say where they hold",
            ),
            ("SecRuleUpdateActionById", "write the rule itself, with the actions that it should have"),
        )
        for name in names.split()
    },
    "variable": {
        **PERSISTENT,
        **dict.fromkeys(("sessionid", "userid", "webappid"), _PERSISTENT),
        "geo": "no geographic database is read; use addresses with files",
        "env": "the gateway's environment is not shown to rules",
    },
    "operator": {
        "rbl": "no request waits for a list asked by DNS; use addresses with files",
        "geolookup": "no geographic database is read; use addresses with files",
        "gsblookup": "no request waits for another service",
        "fuzzyhash": "no request is compared with files of hashes",
        "inspectfile": _SCRIPT,
        "rsub": "requests are judged and never rewritten",
        "validatedtd": "use a schema guard for bodies",
        "validateschema": "use a schema guard for bodies",
        "validatehash": "links are not signed",
    },
    "transformation": {},
    "action": {
        **dict.fromkeys(("initcol", "expirevar", "deprecatevar", "setuid", "setsid", "setrsc"), _PERSISTENT),
        "exec": _SCRIPT,
        "setenv": "the gateway's environment is not changed by rules",
        **dict.fromkeys(("append", "prepend"), "answers are judged and never rewritten"),
        "pause": "a request that waits holds a connection; use a rate with excess: delay",
        "proxy": "routes say which upstream is asked",
        "skip": "counting rules breaks when one is added; use skipAfter with a SecMarker",
        "xmlns": "write the XPath with local-name()",
        **dict.fromkeys(
            ("sanitisearg", "sanitisematched", "sanitisematchedbytes", "sanitiserequestheader",
             "sanitiseresponseheader"),
            "the audit log redacts by itself",
        ),
    },
    "ctl": {
        "debugloglevel": "there is no debug log of rules",
        "hashengine": "links are not signed",
        "hashenforcement": "links are not signed",
    },
}  # fmt: skip
_TABLES: Final = {
    "directive": DIRECTIVES,
    "variable": VARIABLES,
    "operator": OPERATORS,
    "transformation": TRANSFORMATIONS,
    "action": ACTIONS,
    "ctl": CTLS,
}
_SIGNS: Final = {"operator": "@", "transformation": "t:", "ctl": "ctl:"}


def known(kind: str, name: str) -> str:
    """Return the manual's spelling of a name.

    Args:
        kind: directive, variable, operator, transformation, action or ctl.
        name: as it is written; case does not count.

    Raises:
        Refusal: it is deliberately not done.
        Mistake: there is no such name.
    """
    table, sign = _TABLES[kind], _SIGNS.get(kind, "")
    if found := table.get(name.lower()):
        return found
    shown = f"{sign}{name}" if sign == f"{kind}:" else f"{kind} {sign}{name}"
    if why := _REFUSED[kind].get(name.lower().replace("</", "<")):
        raise Refusal(f"the {shown} is refused: {why}")
    near = meant(name, table.values(), sign)
    raise Mistake(f"unknown {shown}{near or '; names are those of the ModSecurity reference manual, v3'}")


def meant(name: str, names: Iterable[str], sign: str = "") -> str:
    """Return `; did you mean ...?`, or nothing where no name is near."""
    spelling = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(name.lower(), spelling, n=1)
    return f"; did you mean {sign}{spelling[near[0]]}?" if near else ""
