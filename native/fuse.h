// Which ops wait (deferred.h), and how a step becomes a part of a product's command.
#pragma once

#include <array>
#include <optional>

#include "deferred.h"
#include "ops/binary.h"
#include "ops/conv2d.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/norm.h"

namespace convgrad {

/// What a call can be in y = activation(normalize(product + bias) + residual).
struct Place {
  Stage stage;
  // Of a product: what its command can do besides, and how it is told.
  Stages next;
  void (*fuse)(Command& command, const Deferred& product, const Deferred& step) = nullptr;
  // Of a step: the operands that it may continue.
  std::array<int, 2> bases = {0, 0};
};

/// Nothing for what runs at once.
std::optional<Place> place_of(const Args<Conv2d>& args);
std::optional<Place> place_of(const Args<Conv2dBackwardInput>& args);
std::optional<Place> place_of(const Args<Matmul>& args);
std::optional<Place> place_of(const Args<BatchNormInference>& args);
std::optional<Place> place_of(const Args<Binary>& args);
std::optional<Place> place_of(const Args<Unary>& args);

template <class Op>
constexpr bool may_wait = requires(const Args<Op>& args) {
  place_of(args);
};

}  // namespace convgrad
