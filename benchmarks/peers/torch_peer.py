"""PyTorch as a peer of the benchmarks: one JSON object a line on stdin, one on stdout, as benchmarks/compare/protocol.ts says.

Variants: `eager` is what people write (NCHW, default optimizer), `channels_last` adds that layout, the fused optimizer and no
reading of the loss in every step, `jit` is a frozen TorchScript graph optimised for inference (oneDNN's packed weights).
"""

import json
import struct
import sys
import time
import warnings
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
channels_last = torch.channels_last


def small_cnn(padding, names):
    conv1, conv2, fc1, fc2 = names
    layers = {
        conv1: nn.Conv2d(3, 32, 3, padding=padding),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        conv2: nn.Conv2d(32, 64, 3),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        fc1: nn.Linear(64 * 6 * 6, 64),
        "relu3": nn.ReLU(),
        fc2: nn.Linear(64, 10),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def resnet18_cifar(models):
    model = models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def vgg16_with_head(models):
    model = nn.Module()
    model.features = models.vgg16().features.requires_grad_(False)
    model.head = nn.Sequential(nn.Linear(512 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 10))
    model.forward = lambda x: model.head(model.features(x).flatten(1))
    return model


def make_network(name):
    """The network with random weights; None where torchvision is needed and missing."""
    if name == "Keras CNN":
        return small_cnn(0, ["conv2d", "conv2d_1", "dense", "dense_1"])
    if name == "SimpleCNN":
        return small_cnn(1, ["conv1", "conv2", "fc1", "fc2"])
    try:
        from torchvision import models
    except ImportError:
        return None
    return {
        "VGG16": models.vgg16,
        "VGG16 with a head": lambda: vgg16_with_head(models),
        "ResNet-18": models.resnet18,
        "ResNet-50": models.resnet50,
        "ResNet-18 for CIFAR": lambda: resnet18_cifar(models),
        "EfficientNet-B0": models.efficientnet_b0,
        "MobileNetV2": models.mobilenet_v2,
    }[name]()


def copy_of(model, problem):
    copy = make_network(problem["network"])
    copy.load_state_dict(model.state_dict())
    return copy


class Prediction:
    def __init__(self, problem):
        model = make_network(problem["network"])
        # The small networks end in a softmax, torchvision's in logits.
        self.model = nn.Sequential(model, nn.Softmax(-1)) if problem["classes"] == 10 else model
        self.model.eval()
        self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        n, h, w, c = problem["input"]
        self.x = torch.rand(n, c, h, w)
        self.variants = {"eager": self.eager, "channels_last": self.channels_last, "jit": self.jit}

    def eager(self):
        model, x = self.model, self.x
        return torch.no_grad()(lambda: model(x))

    def channels_last(self):
        model = deepcopy(self.model).to(memory_format=channels_last)
        x = self.x.to(memory_format=channels_last)
        return torch.inference_mode()(lambda: model(x))

    def jit(self):
        x = self.x
        with torch.no_grad():
            model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(self.model, x)))
            for _ in range(2):  # the profiling executor optimises in its first runs
                model(x)
        return torch.no_grad()(lambda: model(x))

    def export(self, path):
        torch.onnx.export(self.model, (self.x,), path, dynamo=False, input_names=["x"], output_names=["y"])

    def example(self):
        with torch.no_grad():
            y = self.model(self.x)
        return {**named("weight.", self.weights), "input": self.x.permute(0, 2, 3, 1), "output": y}


class Training:
    def __init__(self, problem):
        self.problem = problem
        self.model = make_network(problem["network"])
        n, h, w, c = problem["input"]
        self.x = torch.rand(n, c, h, w)
        self.labels = torch.randint(0, problem["classes"], [n])
        self.variants = {"eager": self.eager, "channels_last": self.channels_last}

    def optimizer(self, model, **options):
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        sgd = self.problem["optimizer"]
        if sgd == "adam":
            return torch.optim.Adam(parameters, **options)
        return torch.optim.SGD(
            parameters, lr=sgd["lr"], momentum=sgd["momentum"], weight_decay=sgd["weightDecay"], **options
        )

    def eager(self):
        model, x, labels = copy_of(self.model, self.problem), self.x, self.labels
        optimizer, criterion = self.optimizer(model), nn.CrossEntropyLoss()

        def step():
            optimizer.zero_grad()
            loss = criterion(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    def channels_last(self):
        model = copy_of(self.model, self.problem).to(memory_format=channels_last)
        x, labels = self.x.to(memory_format=channels_last), self.labels
        optimizer = self.optimizer(model, fused=True)

        def step():
            loss = F.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    def example(self):
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        step = self.eager()
        losses = torch.tensor([step() for _ in range(3)])
        return {
            **named("weight.", weights),
            "input": self.x.permute(0, 2, 3, 1),
            "labels": self.labels.to(torch.int32),
            "output": losses,
        }


class Convolution:
    def __init__(self, problem):
        self.problem = problem
        n, h, w, c = problem["input"]
        r, s, depth, k = problem["weight"]
        self.x, self.w = torch.rand(n, c, h, w), torch.rand(k, depth, r, s)
        self.geometry = [[problem["stride"]] * 2, [problem["padding"]] * 2, [1, 1]]
        self.dy = torch.rand_like(F.conv2d(self.x, self.w, None, *self.geometry, problem["groups"]))
        self.variants = {"eager": lambda: self.task(torch.contiguous_format), "channels_last": lambda: self.task(channels_last)}
        if problem["pass"] == "forward":
            self.variants["mkldnn"] = self.packed

    def task(self, layout):
        x, w, dy = (tensor.to(memory_format=layout) for tensor in (self.x, self.w, self.dy))
        groups, which = self.problem["groups"], self.problem["pass"]
        if which == "forward":
            return torch.no_grad()(lambda: F.conv2d(x, w, None, *self.geometry, groups))
        mask = [which == "backward input", which == "backward weight", False]
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(dy, x, w, None, *self.geometry, False, [0, 0], groups, mask)[mask.index(True)]

    def packed(self):
        """In oneDNN's own layouts, weights reordered once."""
        stride, padding, dilation = self.geometry
        groups, x = self.problem["groups"], self.x.to_mkldnn()
        w = torch._C._nn.mkldnn_reorder_conv2d_weight(self.w.to_mkldnn(), padding, stride, dilation, groups)
        return torch.no_grad()(lambda: torch.mkldnn_convolution(x, w, None, padding, stride, dilation, groups))

    def example(self):
        y = self.task(torch.contiguous_format)()
        is_weight = self.problem["pass"] == "backward weight"
        return {
            "input.0": self.x.permute(0, 2, 3, 1),
            "input.1": self.w.permute(2, 3, 1, 0),
            "input.2": self.dy.permute(0, 2, 3, 1),
            "output": y.permute(2, 3, 1, 0) if is_weight else y.permute(0, 2, 3, 1),
        }


class Matmul:
    def __init__(self, problem):
        self.a, self.b = torch.rand(problem["m"], problem["k"]), torch.rand(problem["k"], problem["n"])
        self.variants = {"eager": lambda: lambda: torch.mm(self.a, self.b)}

    def example(self):
        return {"input.0": self.a, "input.1": self.b, "output": torch.mm(self.a, self.b)}


def named(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def write_safetensors(path, tensors):
    types = {torch.float32: "F32", torch.int32: "I32", torch.int64: "I64"}
    header, position = {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": types[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.detach().contiguous().numpy().tobytes())


class Server:
    """Answers the requests of benchmarks/compare/protocol.ts."""

    def prepare(self, problem, threads, folder):
        self.folder = folder
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        name = f"PyTorch {torch.__version__}"
        if "network" in problem and make_network(problem["network"]) is None:
            return {"name": name, "unsupported": "needs torchvision"}
        kinds = {"train": Training, "predict": Prediction, "conv2d": Convolution, "matmul": Matmul}
        self.task = kinds[problem["kind"]](problem)
        self.bodies, self.calls = {}, {}
        return {"name": name, "variants": list(self.task.variants)}

    def measure(self, variant, budget):
        if variant not in self.bodies:
            self.bodies[variant] = self.task.variants[variant]()
            self.calls[variant] = warm_up(self.bodies[variant], budget)
        return {"ms": time_ms(self.bodies[variant], self.calls[variant])}

    def export(self):
        self.task.export(f"{self.folder}/model.onnx")
        return {}

    def example(self):
        write_safetensors(f"{self.folder}/example.safetensors", self.task.example())
        return {}


def warm_up(body, budget):
    """How many calls fit into the budget."""
    cold = time_ms(body, 1)
    if cold > 10 * budget:
        return 1
    warm = time_ms(body, 1)
    each = warm if warm > budget else time_ms(body, max(1, round(budget / 4 / warm)))
    return max(1, round(budget / each))


def time_ms(body, calls):
    start = time.perf_counter()
    for _ in range(calls):
        body()
    return (time.perf_counter() - start) * 1e3 / calls


def main():
    server = Server()
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(server, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
