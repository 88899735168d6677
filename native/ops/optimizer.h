// The steps of optimizers, for all parameters at once and in place. Everything that changes from step to step (rate,
// counts, moments) is a tensor, so that a recorded step can be replayed. `steps` has an int32 scalar for each
// parameter: one that starts to train later starts counting later.
#pragma once

#include "ops/op.h"

namespace convgrad {

/// Checks that the i-th operand is a list of tensors like the parameters, operand 0; or empty, if that is allowed.
inline void check_like_params(const char* op, const char* operand, const Views& in, int i, bool wanted = true) {
  const auto params = in.list(0), others = in.list(i);
  const size_t count = wanted ? params.size() : 0;
  check(others.size() == count, "ERR_VALUE", op, ": ", operand, " must have ", count, " tensors, got ", others.size());
  for (size_t k = 0; k < count; ++k) {
    check_dtype(op, operand, others[k], DType::float32);
    check(others[k].shape == params[k].shape, "ERR_SHAPE", op, ": ", operand, "[", k, "] has shape ", others[k].shape,
          ", the parameter has ", params[k].shape);
  }
}

inline void check_steps(const char* op, const Views& in, int i) {
  const auto steps = in.list(i);
  check(steps.size() == in.list(0).size(), "ERR_VALUE", op, ": steps must have ", in.list(0).size(), " tensors, got ",
        steps.size());
  for (const View& step : steps) {
    check_dtype(op, "steps", step, DType::int32);
    check_shape(op, "steps", step, Shape{});
  }
}

inline void check_learning_rate(const char* op, const Views& in, int i) {
  check_dtype(op, "lr", in[i], DType::float32);
  check_shape(op, "lr", in[i], Shape{});
}

/// g += weight_decay · p;  m = momentum · m + (1 - dampening) · g, but m = g in the first step;
/// p -= lr · (nesterov ? g + momentum · m : m)
struct SgdStep {
  static constexpr const char* name = "sgdStep";
  static constexpr std::array operands = {"params*!", "grads*", "momenta*!", "steps*!", "lr"};
  static constexpr std::array<const char*, 0> outputs{};
  static constexpr bool has_workspace = true;

  struct Params {
    double momentum = 0, dampening = 0, weight_decay = 0;
    bool nesterov = false;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("momentum", momentum);
      visit("dampening", dampening);
      visit("weightDecay", weight_decay);
      visit("nesterov", nesterov);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_like_params(name, "params", in, 0);
    check_like_params(name, "grads", in, 1);
    check_like_params(name, "momenta", in, 2, params.momentum != 0);
    check_steps(name, in, 3);
    check_learning_rate(name, in, 4);
    return {};
  }
};

/// t += 1;  g += weight_decay · p, or (decoupled) p -= lr · weight_decay · p;
/// m = beta1 · m + (1 - beta1) · g;  v = beta2 · v + (1 - beta2) · g²;
/// p -= lr · (m / (1 - beta1^t)) / (√(v / (1 - beta2^t)) + epsilon)
/// With keras_epsilon the last denominator is (√v + epsilon) / √(1 - beta2^t).
struct AdamStep {
  static constexpr const char* name = "adamStep";
  static constexpr std::array operands = {"params*!", "grads*", "means*!", "squares*!", "steps*!", "lr"};
  static constexpr std::array<const char*, 0> outputs{};
  static constexpr bool has_workspace = true;

  struct Params {
    double beta1 = 0, beta2 = 0, epsilon = 0, weight_decay = 0;
    bool decoupled = false, keras_epsilon = false;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("beta1", beta1);
      visit("beta2", beta2);
      visit("epsilon", epsilon);
      visit("weightDecay", weight_decay);
      visit("decoupled", decoupled);
      visit("kerasEpsilon", keras_epsilon);
    }
  };

  static std::vector<TensorSpec> infer(Params&, const Views& in) {
    check_like_params(name, "params", in, 0);
    check_like_params(name, "grads", in, 1);
    check_like_params(name, "means", in, 2);
    check_like_params(name, "squares", in, 3);
    check_steps(name, in, 4);
    check_learning_rate(name, in, 5);
    return {};
  }
};

/// g += weight_decay · p;  v = alpha · v + (1 - alpha) · g²;  centered: a = alpha · a + (1 - alpha) · g, v' = v - a²;
/// u = g / (√v' + epsilon), or g / √(v' + epsilon) with keras_epsilon;  m = momentum · m + u;  p -= lr · m
struct RmspropStep {
  static constexpr const char* name = "rmspropStep";
  static constexpr std::array operands = {"params*!", "grads*", "squares*!", "means*!", "momenta*!", "lr"};
  static constexpr std::array<const char*, 0> outputs{};
  static constexpr bool has_workspace = true;

  struct Params {
    double alpha = 0, epsilon = 0, momentum = 0, weight_decay = 0;
    bool centered = false, keras_epsilon = false;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("alpha", alpha);
      visit("epsilon", epsilon);
      visit("momentum", momentum);
      visit("weightDecay", weight_decay);
      visit("centered", centered);
      visit("kerasEpsilon", keras_epsilon);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    check_like_params(name, "params", in, 0);
    check_like_params(name, "grads", in, 1);
    check_like_params(name, "squares", in, 2);
    check_like_params(name, "means", in, 3, params.centered);
    check_like_params(name, "momenta", in, 4, params.momentum != 0);
    check_learning_rate(name, in, 5);
    return {};
  }
};

/// Scales all gradients, in place, so that their common Euclidean norm is at most max_norm. Returns the norm before.
/// Tensors that share memory are scaled once.
struct ClipByGlobalNorm {
  static constexpr const char* name = "clipByGlobalNorm";
  static constexpr std::array operands = {"grads*!"};
  static constexpr std::array outputs = {"norm"};
  static constexpr bool has_workspace = true;

  struct Params {
    double max_norm = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("maxNorm", max_norm);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    for (const View& grad : in.list(0)) check_dtype(name, "grads", grad, DType::float32);
    check(!in.list(0).empty(), "ERR_VALUE", name, ": needs at least one gradient");
    check(params.max_norm > 0, "ERR_VALUE", name, ": maxNorm must be positive, got ", params.max_norm);
    return {{DType::float32, Shape{}}};
  }
};

/// Limits every element of the gradients, in place, to [-limit, limit].
struct ClipByValue {
  static constexpr const char* name = "clipByValue";
  static constexpr std::array operands = {"grads*!"};
  static constexpr std::array<const char*, 0> outputs{};
  static constexpr bool has_workspace = true;

  struct Params {
    double limit = 0;
    template <class Visitor>
    void fields(Visitor&& visit) {
      visit("limit", limit);
    }
  };

  static std::vector<TensorSpec> infer(Params& params, const Views& in) {
    for (const View& grad : in.list(0)) check_dtype(name, "grads", grad, DType::float32);
    check(!in.list(0).empty(), "ERR_VALUE", name, ": needs at least one gradient");
    check(params.limit > 0, "ERR_VALUE", name, ": limit must be positive, got ", params.limit);
    return {};
  }
};

}  // namespace convgrad
