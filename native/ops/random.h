// Random numbers from Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), which is
// a function of a key and a counter and has no other state: any part of the stream can be computed anywhere, so that
// the numbers are the same for every number of threads, instruction set and device.
//
// A generator's state is an int32 [4] on the device: the seed's low and high word, which are the key, and the number of
// 128-bit blocks used so far. Element i of an op's result comes from word i % 4 of block `used + i / 4`; the block's
// counter is (number's low word, high word, 0, 0). Afterwards the op adds the blocks it used to the state.
#pragma once

#include <cmath>

#include "ops/binary.h"
#include "ops/enums.h"
#include "ops/op.h"

namespace convgrad {

constexpr std::array kRandomNames = {"uniform", "normal", "truncatedNormal", "bernoulli", "integers"};
static_assert(kRandomNames.size() == static_cast<size_t>(RandomFunction::count));
inline EnumNames names_of(RandomFunction) { return kRandomNames; }

inline void check_random_state(const char* op, const View& state) {
  check_dtype(op, "state", state, DType::int32);
  check_shape(op, "state", state, Shape{4});
}

/// Blocks that `count` elements take.
inline int64_t random_blocks(int64_t count) { return (count + 3) / 4; }

struct Random {
  static constexpr const char* name = "random";
  static constexpr std::array operands = {"state!"};
  static constexpr std::array outputs = {"y"};

  struct Params {
    RandomFunction function{};
    IntList shape;
    double a = 0, b = 0;  // what they mean depends on the function, see enums.h
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("fn", function);
      visit("shape", shape);
      visit("a", a);
      visit("b", b);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const char* op = name_of(params.function);
    const double a = params.a, b = params.b;
    check_random_state(op, in[0]);
    const Shape shape(params.shape.begin(), params.shape.size());
    shape.validate(op);
    check(std::isfinite(a) && std::isfinite(b), "ERR_VALUE", op, ": parameters must be finite, got ", a, " and ", b);
    switch (params.function) {
      case RandomFunction::uniform:
        check(static_cast<float>(a) < static_cast<float>(b), "ERR_VALUE", op, ": low must be less than high, got ", a,
              " and ", b);
        break;
      case RandomFunction::normal:
      case RandomFunction::truncated_normal:
        check(b >= 0, "ERR_VALUE", op, ": the standard deviation must not be negative, got ", b);
        break;
      case RandomFunction::bernoulli:
        check(a >= 0 && a <= 1, "ERR_VALUE", op, ": the probability must be in [0, 1], got ", a);
        break;
      default:
        check_scalar(op, a, DType::int32);
        check(a < b && b <= 2147483648.0 && std::trunc(b) == b, "ERR_VALUE", op,
              ": high must be an integer above low and at most 2^31, got ", a, " and ", b);
    }
    return {{params.function == RandomFunction::integers ? DType::int32 : DType::float32, shape}};
  }
};

/// Keeps each element of a mask of `noise_shape` with probability 1 - rate; y = x / (1 - rate) where the mask,
/// broadcast to x, has kept it, else 0. An empty noise_shape means x's own.
struct Dropout {
  static constexpr const char* name = "dropout";
  static constexpr std::array operands = {"x", "state!"};
  static constexpr std::array outputs = {"y", "mask"};

  struct Params {
    double rate = 0;
    IntList noise_shape;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("rate", rate);
      visit("noiseShape", noise_shape);
    }
  };

  static void check_rate(const char* op, double rate) {
    check(rate >= 0 && rate < 1, "ERR_VALUE", op, ": rate must be in [0, 1), got ", rate);
  }

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    const View& x = in[0];
    check_dtype(name, "x", x, DType::float32);
    check_random_state(name, in[1]);
    check_rate(name, params.rate);
    const Shape mask =
        params.noise_shape.size() ? Shape(params.noise_shape.begin(), params.noise_shape.size()) : x.shape;
    mask.validate(name);
    check(broadcasts_to(mask, x.shape), "ERR_SHAPE", name, ": noiseShape ", mask, " does not broadcast to ", x.shape);
    return {{DType::float32, x.shape}, {DType::uint8, mask}};
  }
};

/// dx = dy / (1 - rate) where the mask has kept the element, else 0.
struct DropoutBackward {
  static constexpr const char* name = "dropoutBackward";
  static constexpr std::array operands = {"dy", "mask"};
  static constexpr std::array outputs = {"dx"};

  struct Params {
    double rate = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("rate", rate);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_dtype(name, "dy", in[0], DType::float32);
    check_dtype(name, "mask", in[1], DType::uint8);
    Dropout::check_rate(name, params.rate);
    check(broadcasts_to(in[1].shape, in[0].shape), "ERR_SHAPE", name, ": mask ", in[1].shape, " does not broadcast to ",
          in[0].shape);
    return {{DType::float32, in[0].shape}};
  }
};

}  // namespace convgrad
