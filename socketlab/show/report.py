"""Show: results for people, and as JSON for programs."""

import dataclasses
import json
from collections.abc import Sequence

from socketlab.analyse.fates import Exchange
from socketlab.describe.scenario import Conversation

RESULT_VERSION = 1


def as_json(conversation: Conversation, exchanges: Sequence[Exchange]) -> str:
    """Return the result of a conversation as JSON; `version` changes when the meaning of a field does."""
    result = {
        "version": RESULT_VERSION,
        "conversation": dataclasses.asdict(conversation),
        "exchanges": [dataclasses.asdict(exchange) for exchange in exchanges],
    }
    return json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_text(exchanges: Sequence[Exchange]) -> str:
    """Return one line an exchange: from where to where, what was sent, what came back, and how fast."""
    rows = []
    for exchange in exchanges:
        row = [f"{exchange.fate:<10}"]
        if exchange.client:
            row.append(f"{exchange.client} -> {exchange.server}")
        row.append(_quoted(exchange.line))
        if exchange.answer is not None:
            row.append(f"=> {_quoted(exchange.answer)}")
        if exchange.reason is not None:
            row.append(f"({exchange.reason})")
        if exchange.round_trip_s is not None:
            row.append(f"{exchange.round_trip_s * 1000:.2f} ms")
        rows.append("  ".join(row))
    return "\n".join(rows)


def _quoted(text: str) -> str:
    # A message is somebody else's words: quoted, nothing in it can move the cursor.
    return json.dumps(text, ensure_ascii=False, allow_nan=False)
