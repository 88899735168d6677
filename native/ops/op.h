// How an op is written down: a struct with
//
//   static constexpr const char* name            what JavaScript calls
//   static constexpr std::array operands         names; a suffix says more: "bias?" may be null or undefined,
//                                                "tensors*" is an array, "state!" is written in place ("params*!" both)
//   static constexpr std::array outputs          names
//   struct Params { fields(visitor) }            the arguments after the operands, in order
//   static std::vector<TensorSpec> infer(Params&, const Views& in)
//
// infer() is the only validation: it throws ERR_SHAPE, ERR_DTYPE or ERR_VALUE, may normalise its parameters (a 'same'
// padding becomes numbers), and returns the outputs' dtypes and shapes. Kernels only assert.
// An op whose kernels may keep packed copies of an operand says which: `static constexpr int packed_operand = 1`.
// An op that needs scratch memory says `static constexpr bool has_workspace = true`; its size is the device's to tell.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "command.h"
#include "tensor.h"

namespace convgrad {

struct TensorSpec {
  DType dtype;
  Shape shape;
};

/// A list of up to eight integers among the parameters (axes, a permutation, a shape).
class IntList {
 public:
  int size() const { return size_; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& operator[](int i) { return values_[i]; }
  void push_back(int64_t value) {
    check(size_ < kMaxRank, "ERR_VALUE", "a list of integers has at most ", kMaxRank, " entries");
    values_[size_++] = value;
  }
  void clear() { size_ = 0; }
  const int64_t* begin() const { return values_.data(); }
  const int64_t* end() const { return values_.data() + size_; }

 private:
  std::array<int64_t, kMaxRank> values_{};
  int size_ = 0;
};

/// Every enum among the parameters has an overload that names its values in order: `names_of(Activation{})`.
using EnumNames = std::span<const char* const>;

inline EnumNames names_of(DType) { return kDTypeNames; }
template <class Enum>
const char* name_of(Enum value) {
  return names_of(value)[static_cast<size_t>(value)];
}

/// An operand's declaration, read from its name and suffixes.
struct OperandSpec {
  std::string_view name;
  bool optional = false;
  bool variadic = false;
  bool written = false;

  constexpr explicit OperandSpec(std::string_view declared) : name(declared) {
    for (; !name.empty(); name.remove_suffix(1)) {
      if (name.back() == '?')
        optional = true;
      else if (name.back() == '*')
        variadic = true;
      else if (name.back() == '!')
        written = true;
      else
        break;
    }
  }
};

template <class Op>
constexpr bool has_workspace = requires {
  Op::has_workspace;
};

template <class Op>
concept has_packed_operand = requires {
  Op::packed_operand;
};

// ---- checks that infer() functions share ----

inline void check_rank(const char* op, const char* operand, const View& view, int rank, const char* layout) {
  check(view.shape.rank() == rank, "ERR_SHAPE", op, ": ", operand, " must have ", rank, " dimensions ", layout,
        ", got ", view.shape);
}

inline void check_dtype(const char* op, const char* operand, const View& view, DType dtype) {
  check(view.dtype == dtype, "ERR_DTYPE", op, ": ", operand, " must be ", dtype, ", got ", view.dtype);
}

inline void check_shape(const char* op, const char* operand, const View& view, const Shape& wanted) {
  check(view.shape == wanted, "ERR_SHAPE", op, ": ", operand, " must have shape ", wanted, ", got ", view.shape);
}

/// Resolves a negative axis. Throws ERR_VALUE when out of range.
inline int check_axis(const char* op, int64_t axis, int rank) {
  check(axis >= -rank && axis < rank, "ERR_VALUE", op, ": axis must be in [", -rank, ", ", rank - 1, "], got ", axis);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace convgrad
