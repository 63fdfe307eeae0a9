# A producer for bizon-load in another language: what docs/pipe-format.md asks for, in thirty lines.
#
#   python3 examples/pipe-producer.py | npx bizon-load examples/pipe.yml
#   cat output/numbers.json
#
# Killed in the middle it has no end, and nothing is published:
#
#   ! python3 examples/pipe-producer.py | head -n 5 | npx bizon-load examples/pipe.yml --quiet

import datetime
import json
import sys
import uuid

PAGES, SIZE = 3, 2
run = {"run": uuid.uuid4().hex, "at": datetime.datetime.now(datetime.timezone.utc).isoformat()}


def write(message):
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def state(page, end=False, **more):
    position = None if end or page == 0 else {"page": page}
    value = {**run, "page": page, "rows": page * SIZE, "end": end, "position": position, **more}
    write({"type": "STATE", "value": {"bizon": value}})


state(0, begin={"pipeline": "numbers", "source": "python", "stream": "numbers", "mode": "full_refresh"})
write({"type": "SCHEMA", "stream": "numbers", "schema": {"type": "object", "properties": {}}, "key_properties": ["n"]})
for page in range(PAGES):
    for n in range(page * SIZE + 1, (page + 1) * SIZE + 1):
        write({"type": "RECORD", "stream": "numbers", "bizon": {"n": n, "id": str(n)}, "record": {"n": n}})
    state(page + 1, end=page + 1 == PAGES)
