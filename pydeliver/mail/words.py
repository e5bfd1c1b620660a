"""The text of a header value as a person sees it.

Owns `decode` (for whole values), `visible` (for parts that are already text) and `in_charset` (for bytes with a
label). None ever raises, and nothing the first two return holds a line break, a control character or a lone
surrogate. It refuses codecs that are not charsets: a label may name a charset of CHARSETS only, since Python's codec
names also reach decompressors and quadratic algorithms. RFC 2047, RFC 2231 section 5 (language suffix), RFC 6532 (raw
UTF-8).

More is read than the RFC allows, because mail readers read it too: encoded words inside quoted strings, without
white space around them, with spaces or `?` inside, with broken base64.
"""

from __future__ import annotations

from pydeliver.mail.folding import composed

UNDECODABLE = "\ufffd"

# Charset names as mail uses them → Python's codec. Labels are read as their common supersets, as WHATWG Encoding
# does (senders label windows-1252 as iso-8859-1). "" means: look at the bytes.
CHARSETS = {
    "": "",
    "ascii": "",
    "us-ascii": "",
    "ansi-x3.4-1968": "",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf8mb4": "utf-8",
    "cp65001": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "utf-7": "utf-7",
    "unicode-1-1-utf-7": "utf-7",
    "utf-16": "utf-16",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-2": "iso8859-2",
    "iso8859-2": "iso8859-2",
    "latin2": "iso8859-2",
    "iso-8859-3": "iso8859-3",
    "iso-8859-4": "iso8859-4",
    "iso-8859-5": "iso8859-5",
    "iso-8859-6": "iso8859-6",
    "iso-8859-7": "iso8859-7",
    "iso-8859-8": "iso8859-8",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-9": "cp1254",
    "iso8859-9": "cp1254",
    "iso-8859-10": "iso8859-10",
    "iso-8859-11": "cp874",
    "iso-8859-13": "iso8859-13",
    "iso-8859-14": "iso8859-14",
    "iso-8859-15": "iso8859-15",
    "iso8859-15": "iso8859-15",
    "latin9": "iso8859-15",
    "latin-9": "iso8859-15",
    "iso-8859-16": "iso8859-16",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "windows-1250": "cp1250",
    "cp1250": "cp1250",
    "windows-1251": "cp1251",
    "cp1251": "cp1251",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "windows-1253": "cp1253",
    "windows-1254": "cp1254",
    "windows-1255": "cp1255",
    "windows-1256": "cp1256",
    "windows-1257": "cp1257",
    "windows-1258": "cp1258",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "ibm437": "cp437",
    "cp437": "cp437",
    "ibm850": "cp850",
    "cp850": "cp850",
    "ibm852": "cp852",
    "cp852": "cp852",
    "ibm866": "cp866",
    "cp866": "cp866",
    "macintosh": "mac-roman",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-2022-jp-1": "iso2022_jp_1",
    "iso-2022-jp-2": "iso2022_jp_2",
    "iso-2022-jp-3": "iso2022_jp_3",
    "cp50220": "iso2022_jp_ext",
    "shift-jis": "cp932",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "cp932": "cp932",
    "euc-jp": "euc_jp",
    "x-euc-jp": "euc_jp",
    "iso-2022-kr": "iso2022_kr",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "ks-c-5601-1987": "cp949",
    "ksc5601": "cp949",
    "windows-949": "cp949",
    "cp949": "cp949",
    "gb2312": "gb18030",
    "gb-2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "windows-936": "gb18030",
    "x-gbk": "gb18030",
    "gb18030": "gb18030",
    "hz-gb-2312": "hz",
    "big5": "big5hkscs",
    "big-5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "cp950": "cp950",
}

# Nothing is seen of these: where a word may break, marks of direction. Joiners are seen, they shape letters.
UNSEEN = "\xad\u200b\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\u202a\u202b\u202c\u2066\u2067\u2068\u2069"
_WITHOUT_UNSEEN = str.maketrans("", "", UNSEEN)
_CONTROLS = dict.fromkeys([*range(32), *range(127, 160), 0x2028, 0x2029], UNDECODABLE)  # line separators among them
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def decode(raw: bytes) -> str:
    """A header value unfolded, decoded, in form C, every run of white space one space, none at the ends.

    What is not seen is left out, but what turns the direction of letters by force: that changes what is seen.
    """
    text = _with_words(raw) if b"=?" in raw else _eight_bit(raw)
    if not text.isascii():
        text = text.translate(_WITHOUT_UNSEEN)
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    """The text in form C with U+FFFD for what cannot be shown: control characters and lone surrogates."""
    if text.isprintable():
        return composed(text)
    text = text.translate(_CONTROLS)
    if text.isascii():
        return text
    return composed(without_surrogates(text))


def without_surrogates(text: str) -> str:
    """The text with pairs of surrogates joined and U+FFFD for lone ones, as UTF-7 and UTF-16 may leave them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _eight_bit(raw: bytes) -> str:
    """Bytes without a charset: UTF-8 if they are, else windows-1252."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and not raw[: error.start].isascii():
            # UTF-8 that a limit cut through
            return raw.decode(errors="replace")
        return raw.decode("cp1252", "replace")


def _with_words(raw: bytes) -> str:
    """Decode a value that may hold encoded words; no byte is looked at more than a few times."""
    pieces: list[str] = []
    run: list[bytes] = []  # the bytes of adjacent words in one charset: a character may be split over words
    charset = ""
    done = 0
    stop = -1
    start = raw.find(b"=?")
    while start >= 0:
        text_at = raw.find(b"?", start + 2) + 3
        if text_at == 2:
            break
        if stop < text_at:
            stop = raw.find(b"?=", text_at)
            if stop < 0:
                break
        label, kind = raw[start + 2 : text_at - 3], raw[text_at - 2 : text_at]
        inner = raw.find(b"=?", start + 2, stop)
        if inner >= 0 or kind not in (b"Q?", b"q?", b"B?", b"b?") or len(label.split()) != 1:
            start = inner if inner >= 0 else raw.find(b"=?", start + 2)
            continue
        gap = raw[done:start]
        named = label.partition(b"*")[0].decode("ascii", "replace").lower()
        if run and (named != charset or gap.strip()):
            pieces.append(in_charset(charset, b"".join(run)))
            run = []
        if gap.strip() or not done:
            pieces.append(_eight_bit(gap))
        charset = named
        run.append(_payload(kind, raw[text_at:stop]))
        done = stop + 2
        start = raw.find(b"=?", done)
    if run:
        pieces.append(in_charset(charset, b"".join(run)))
    pieces.append(_eight_bit(raw[done:]))
    return "".join(pieces)


def in_charset(label: str, data: bytes) -> str:
    """Bytes in the charset of that lower-case label; without a known label UTF-8 if they are, else windows-1252."""
    codec = CHARSETS.get(label)
    return data.decode(codec, "replace") if codec else _eight_bit(data)


def _payload(kind: bytes, text: bytes) -> bytes:
    """The bytes that an encoded word stands for."""
    from binascii import Error, a2b_base64, a2b_qp

    if kind in (b"Q?", b"q?"):
        # A line break after "=" would make a2b_qp drop what follows.
        return a2b_qp(text.replace(b"\r", b" ").replace(b"\n", b" "), header=True)
    try:
        return a2b_base64(text + b"==")
    except Error:  # one character too many: it holds less than a byte
        kept = bytes([byte for byte in text if byte in _BASE64])
        return a2b_base64(kept[: len(kept) // 4 * 4])
