"""Answers problems with the milliseconds that PyTorch takes: one JSON object a line on stdin, one on stdout.

The problems are those of lib/bench/problems.ts, measured as lib/bench/measure.ts does. PyTorch gets its best: channels-last
memory, the fused optimizer, no gradients where none are needed.
"""

import json
import math
import sys
import time
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn


def measure(body, budget_ms, warm_up=3):
    def time_ms(repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            body()
        return (time.perf_counter() - start) * 1e3 / repeats

    repeats = max(1, round(5 / time_ms(warm_up)))
    deadline = time.perf_counter() + budget_ms / 1e3
    samples = []
    while len(samples) < 5 or time.perf_counter() < deadline:
        samples.append(time_ms(repeats))
    return median(samples)


def nhwc(shape):
    """Random numbers in [0, 1) for an NHWC shape, as PyTorch's channels-last tensor of NCHW."""
    return torch.rand(shape).permute(0, 3, 1, 2)


def conv2d(problem):
    stride, padding, groups = [problem["stride"]] * 2, [problem["padding"]] * 2, problem["groups"]
    x = nhwc(problem["input"])
    r, s, c, k = problem["weight"]
    w = torch.rand(k, r, s, c).permute(0, 3, 1, 2)
    if problem["pass"] == "forward":
        return lambda: F.conv2d(x, w, None, stride, padding, 1, groups)
    dy = torch.rand_like(F.conv2d(x, w, None, stride, padding, 1, groups))
    mask = [problem["pass"] == "backward input", problem["pass"] == "backward weight", False]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(dy, x, w, None, stride, padding, [1, 1], False, [0, 0], groups, mask)


def matmul(problem):
    a, b = torch.rand(problem["m"], problem["k"]), torch.rand(problem["k"], problem["n"])
    return lambda: a @ b


def memory_bound(problem):
    shape = problem["shape"]
    x = nhwc(shape) if len(shape) == 4 else torch.rand(shape)
    return {
        "relu": lambda: F.relu(x),
        "add": lambda: x + x,
        "maxPool2d": lambda: F.max_pool2d(x, 2),
        "batchNorm": lambda: F.batch_norm(x, None, None, training=True),
        "softmax": lambda: F.softmax(x, -1),
    }[problem["kind"]]


def network(name):
    padding = {"Keras CNN": 0, "SimpleCNN": 1}[name]
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 6 * 6, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    return model.to(memory_format=torch.channels_last), {"Keras CNN": 32, "SimpleCNN": 28}[name]


def train(problem):
    """An epoch: shuffled batches gathered from all images, then a step of Adam each."""
    model, side = network(problem["network"])
    count, size = problem["images"], problem["batchSize"]
    images = nhwc([count, side, side, 3])
    labels = torch.randint(0, 10, [count])
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def epoch():
        total = torch.zeros(())
        for batch in torch.randperm(count).split(size):
            x = images[batch].contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(x), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total.item() / math.ceil(count / size)

    return epoch


def predict(problem):
    model, side = network(problem["network"])
    model.eval()
    x = nhwc([problem["batchSize"], side, side, 3])

    def forward():
        with torch.inference_mode():
            return F.softmax(model(x), -1)

    return forward


def prepare(problem):
    return {"conv2d": conv2d, "matmul": matmul, "train": train, "predict": predict}.get(problem["kind"], memory_bound)(
        problem
    )


def main():
    print(json.dumps({"name": f"PyTorch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        ms = measure(prepare(request["problem"]), request["budget"])
        print(json.dumps({"ms": ms}), flush=True)


main()
