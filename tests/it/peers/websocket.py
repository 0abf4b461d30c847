"""A server and clients of WebSocket, by the library `websockets`; the gateway is in between.

Prints the server's port, reads the gateway's, and ends with 0 when everything was as it should be.
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

BYTES_MAX = 32 * 1024 * 1024


async def echo(socket):
    if socket.request.path == "/close":
        await socket.close(4001, "as asked")
        return
    try:
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        pass


def chat(url, **options):
    return connect(url, max_size=BYTES_MAX, subprotocols=["chat"], **options)


async def messages(url):
    async with chat(url, origin="http://shop.test") as socket:
        assert socket.subprotocol == "chat"
        await socket.send("text: \u00e9")
        assert await socket.recv() == "text: \u00e9"
        await socket.send(b"\x00\xff")
        assert await socket.recv() == b"\x00\xff"
        await socket.send(["a message ", "in three ", "fragments"])
        assert await socket.recv() == "a message in three fragments"
        answered = await socket.ping(b"are you there")
        assert await asyncio.wait_for(answered, 10) >= 0


async def large(url):
    message = bytes(range(256)) * (16 * 1024 * 1024 // 256)
    async with chat(url, compression=None) as socket:
        await socket.send(message)
        assert await socket.recv() == message


async def closes(url):
    async with chat(url) as socket:
        await socket.close(1000, "enough")
        assert (socket.close_code, socket.close_reason) == (1000, "enough")
    async with chat(url + "/close") as socket:
        try:
            await socket.recv()
            raise AssertionError("the server closes")
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as asked")


async def many(url):
    async def one(number):
        async with chat(url) as socket:
            for turn in range(20):
                await socket.send(f"{number}-{turn}")
                assert await socket.recv() == f"{number}-{turn}"

    await asyncio.gather(*(one(number) for number in range(50)))


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=BYTES_MAX, subprotocols=["chat"]) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        gateway = await asyncio.to_thread(sys.stdin.readline)
        url = f"ws://127.0.0.1:{int(gateway)}"
        for check in (messages, large, closes, many):
            await asyncio.wait_for(check(url), 30)


asyncio.run(main())
