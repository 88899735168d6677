// Every op, and the ids that ops.inc gives them.
#pragma once

#include "ops/binary.h"
#include "ops/conv2d.h"
#include "ops/elementwise.h"
#include "ops/epilogue.h"
#include "ops/loss.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/op.h"
#include "ops/optimizer.h"
#include "ops/pool2d.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/resize.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace convgrad {

enum class OpId : uint16_t {
#define CONVGRAD_OP(Op) Op,
#include "ops.inc"
#undef CONVGRAD_OP
  count
};

constexpr int kOpCount = static_cast<int>(OpId::count);

template <class Op>
inline constexpr OpId id_of = OpId::count;
#define CONVGRAD_OP(Op) \
  template <>           \
  inline constexpr OpId id_of<Op> = OpId::Op;
#include "ops.inc"
#undef CONVGRAD_OP

/// An op that packs the same operand in more ways than one tells them apart by its parameters' packed_variant(), 0
/// or 1.
template <class Op>
int packed_user(const typename Op::Params& params) {
  int variant = 0;
  if constexpr (requires { params.packed_variant(); }) variant = params.packed_variant();
  return 2 * static_cast<int>(id_of<Op>) + variant;
}

}  // namespace convgrad
