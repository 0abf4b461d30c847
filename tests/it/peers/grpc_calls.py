"""A server and clients of gRPC, by the library `grpcio`; the gateway is in between.

Prints the server's port, reads the gateway's, and ends with 0 when everything was as it should be. Messages are bytes, as
they are: what is tested is how they travel.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

began, cancelled = threading.Event(), threading.Event()
DETAILS = b"\x08\x05\x12\x04lost"


def unary(request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("initial", sent.get("token", "")),))
    context.set_trailing_metadata((("trailing-bin", b"\x00\xff"),))
    return request


def fails(request, context):
    context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such order: \u00e9 50 %")


def hangs(request, context):
    context.add_callback(cancelled.set)
    began.set()
    cancelled.wait(30)
    return request


def numbers(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(int(request) for request in requests)).encode()


def echo(requests, context):
    for request in requests:
        yield request


def handler():
    return grpc.method_handlers_generic_handler(
        "test.Orders",
        {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Fails": grpc.unary_unary_rpc_method_handler(fails),
            "Hangs": grpc.unary_unary_rpc_method_handler(hangs),
            "Numbers": grpc.unary_stream_rpc_method_handler(numbers),
            "Total": grpc.stream_unary_rpc_method_handler(total),
            "Echo": grpc.stream_stream_rpc_method_handler(echo),
        },
    )


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call should have failed")


def check_unary(channel):
    call = channel.unary_unary("/test.Orders/Unary")
    response, done = call.with_call(b"order", metadata=(("token", "a"),), timeout=10)
    assert response == b"order"
    assert ("initial", "a") in done.initial_metadata()
    assert ("trailing-bin", b"\x00\xff") in done.trailing_metadata()
    large = b"x" * 3_000_000
    assert call(large, timeout=30) == large


def check_streams(channel):
    received = list(channel.unary_stream("/test.Orders/Numbers")(b"500", timeout=10))
    assert received == [str(number).encode() for number in range(500)]
    requests = (str(number).encode() for number in range(500))
    assert channel.stream_unary("/test.Orders/Total")(requests, timeout=10) == b"124750"

    # Each request is sent only when the answer to the one before it is here.
    answers, turn = [], threading.Semaphore(1)

    def one_by_one():
        for number in range(50):
            turn.acquire()
            yield str(number).encode()

    for answer in channel.stream_stream("/test.Orders/Echo")(one_by_one(), timeout=10):
        answers.append(answer)
        turn.release()
    assert answers == [str(number).encode() for number in range(50)]


def check_status(channel):
    error = failure(lambda: channel.unary_unary("/test.Orders/Fails")(b"", timeout=10))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert error.details() == "no such order: \u00e9 50 %"
    assert ("grpc-status-details-bin", DETAILS) in error.trailing_metadata()
    error = failure(lambda: channel.unary_unary("/test.Orders/Nothing")(b"", timeout=10))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


def check_endings(channel):
    hangs = channel.unary_unary("/test.Orders/Hangs")
    error = failure(lambda: hangs(b"", timeout=0.3))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert cancelled.wait(10), "the server hears of it"
    began.clear()
    cancelled.clear()
    future = hangs.future(b"", timeout=20)
    assert began.wait(10)
    future.cancel()
    assert cancelled.wait(10), "the server hears of it"


def check_refusals(channel):
    """Routes of the gateway under these services: none, one that leads nowhere, and one with 200 ms of patience."""
    error = failure(lambda: channel.unary_unary("/none.Orders/Unary")(b"", timeout=10))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert error.details() == "No route takes this request."
    error = failure(lambda: channel.unary_unary("/away.Orders/Unary")(b"", timeout=10))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    cancelled.clear()
    error = failure(lambda: channel.unary_unary("/test.Orders/Hangs")(b"", timeout=10, metadata=(("short", "1"),)))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "in time" in error.details()


def main():
    server = grpc.server(ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    gateway = int(sys.stdin.readline())
    with grpc.insecure_channel(f"127.0.0.1:{gateway}") as channel:
        for check in (check_unary, check_streams, check_status, check_endings, check_refusals):
            check(channel)
    server.stop(None).wait()


main()
