"""A small program that stands in for vLLM, and what is done to servers."""

import os
import signal

from cai.models.types import Request
from cai.models.vllm import VllmEndpoint

STAND_IN = """
import sys
from aiohttp import web

weights = "as started"

async def chat(request):
    choice = {"index": 0, "message": {"content": sys.argv[2]}, "finish_reason": "stop"}
    return web.json_response({"model": "some/model", "choices": [choice]})

async def models(_):
    return web.json_response({"data": [{"id": "some/model", "owned_by": "vllm"}]})

async def told(request):
    global weights
    asked = await request.json()
    if "missing" in str(asked):
        return web.Response(status=500, text="no such weights")
    weights = asked.get("kwargs", {}).get("folder", weights)
    return web.Response()

async def completion(request):
    asked = await request.json()
    choice = {"text": weights, "token_ids": asked["prompt"], "logprobs": {"token_logprobs": [-1.0] * len(asked["prompt"])}}
    return web.json_response({"choices": [choice]})

async def well(_):
    return web.Response()

app = web.Application()
app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/models", models), web.get("/health", well)])
app.add_routes([web.post("/collective_rpc", told), web.post("/reset_prefix_cache", told), web.post("/v1/completions", completion)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""
ASKED = Request(({"role": "user", "content": "Hi"},))


def kill(served: VllmEndpoint, number: int) -> None:
    """Kill a server behind its keeper's back."""
    record = served.servers[number].log.with_suffix(".pid").read_text().splitlines()
    os.kill(int(record[1].split()[0]), signal.SIGKILL)
