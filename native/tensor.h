// Shape, DType, Storage and Tensor: what every op and every device agrees on. Tensors are dense and row-major; a
// reshape shares the storage, everything else copies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ostream>

#include "error.h"
#include "packed.h"

namespace convgrad {

enum class DType : uint8_t { float32, int32, uint8 };
constexpr int kDTypeCount = 3;

constexpr std::array<const char*, kDTypeCount> kDTypeNames = {"float32", "int32", "uint8"};
inline const char* name_of(DType dtype) { return kDTypeNames[static_cast<size_t>(dtype)]; }
size_t size_of(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::float32;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::int32;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::uint8;
}

constexpr int kMaxRank = 8;

/// Up to eight dimensions, each at least 1. Rank 0 is a scalar. Elements are counted in 64 bits.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  Shape(const int64_t* dims, int rank);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[axis]; }
  int64_t& operator[](int axis) { return dims_[axis]; }
  void push_back(int64_t dim);
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }

  /// Number of elements; 1 for a scalar.
  int64_t size() const;
  /// Product of the dimensions in [first, last).
  int64_t size(int first, int last) const;
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

  /// Throws ERR_SHAPE unless every dimension is positive and the size fits 2^40 elements.
  void validate(const char* what) const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

class Device;
struct Deferred;
class Folds;

/// A block of a device's memory. Owned by the JavaScript thread, which alone creates, shares and frees it; freeing is
/// stream-ordered (see allocator.h). `version` counts the writes after the first, for saved tensors and packed copies.
struct Storage : std::enable_shared_from_this<Storage> {
  Storage(std::shared_ptr<Device> device, size_t bytes, bool idle);
  /// An address that stands for memory that nobody will touch.
  Storage(std::shared_ptr<Device> device, void* placeholder, size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// To be called for every write after the first.
  void written(uint64_t times = 1);

  /// What a command may keep of packed copies; `user` tells the ops, and ways of ops, from each other.
  PackedUse packed_use(int user);

  std::shared_ptr<Device> device;
  void* data;
  size_t bytes;
  bool is_placeholder = false;
  uint64_t version = 0;
  std::shared_ptr<PackedCopies> packed;  // made when an op first asks for it
  std::unique_ptr<Deferred> deferred;    // what will write it, until that is in the stream
  std::unique_ptr<Folds> folds;          // that it has a part in
  bool fuses = true;                     // of a weight: whether its products wait for the ops after them
};

struct Tensor {
  std::shared_ptr<Storage> storage;
  DType dtype = DType::float32;
  Shape shape;

  size_t bytes() const { return static_cast<size_t>(shape.size()) * size_of(dtype); }

  /// A tensor with undefined contents. With `idle`, no command in flight touches its memory, so that the host may write
  /// it at once.
  static Tensor allocate(const std::shared_ptr<Device>& device, DType dtype, const Shape& shape, bool idle = false);
};

/// What a kernel sees of a tensor: no ownership. `data == nullptr` is an absent optional operand.
struct View {
  void* data = nullptr;
  DType dtype = DType::float32;
  Shape shape;

  View() = default;
  View(const Tensor& tensor) : data(tensor.storage->data), dtype(tensor.dtype), shape(tensor.shape) {}  // NOLINT

  explicit operator bool() const { return data != nullptr; }
  int64_t size() const { return shape.size(); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace convgrad
