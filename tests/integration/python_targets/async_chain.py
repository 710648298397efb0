"""Tasks of asyncio, each a chain of coroutines that wait for one another, at the end of which CPU time is used."""
import asyncio
import sys

import directed

TASKS = 2
ROUNDS = 25
CPU = 0.002


async def first_outer(number):
    return await first_middle(number)


async def first_middle(number):
    return await first_inner(number)


async def first_inner(number):
    used = 0.0
    for _ in range(ROUNDS):
        used += first_work()
        await asyncio.sleep(0.001)
    return used


def first_work():
    return directed.burn(CPU)


async def second_outer(number):
    """Its middle is a task of its own: on the stack there are only the coroutines of that one."""
    return await asyncio.ensure_future(second_middle(number))


async def second_middle(number):
    total = 0.0
    async for used in second_stream():
        total += used
    return total


async def second_stream():
    for _ in range(ROUNDS):
        await asyncio.sleep(0.001)
        yield second_work()


def second_work():
    return directed.burn(CPU)


async def all_tasks():
    chains = [outer(number) for number in range(TASKS) for outer in (first_outer, second_outer)]
    return sum(await asyncio.gather(*chains))


def play():
    return {"cpu": asyncio.new_event_loop().run_until_complete(all_tasks())}


if __name__ == "__main__":
    sys.exit(directed.direct(play))
