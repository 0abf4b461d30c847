"""Says which requests h11 reads in bytes: lines of hexadecimal digits in, lines of JSON out.

A request is its method, its target and its body; one that is not there in whole is none.
"""

import json
import sys

import h11

# As much as the gateway takes: that one reader stops sooner says nothing.
HEAD_BYTES_MAX = 64 * 1024


def requests_in(sent):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
    connection.receive_data(sent)
    connection.receive_data(b"")
    requests = []
    head, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                requests.append([head.method.decode(), head.target.decode(), body.hex()])
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
            else:
                return requests
    except h11.ProtocolError:  # the rest is no request, or is not read since the connection is to be closed
        return requests


for line in sys.stdin:
    print(json.dumps(requests_in(bytes.fromhex(line))), flush=True)
