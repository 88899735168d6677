#include "tensor.h"

#include "device.h"
#include "fold.h"

namespace convgrad {

namespace {
constexpr size_t kDTypeSizes[kDTypeCount] = {4, 4, 1};
constexpr int64_t kMaxElements = int64_t{1} << 40;
}  // namespace

size_t size_of(DType dtype) { return kDTypeSizes[static_cast<int>(dtype)]; }
std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (int64_t dim : dims) push_back(dim);
}

Shape::Shape(const int64_t* dims, int rank) {
  for (int axis = 0; axis < rank; ++axis) push_back(dims[axis]);
}

void Shape::push_back(int64_t dim) {
  check(rank_ < kMaxRank, "ERR_SHAPE", "a tensor has at most ", kMaxRank, " dimensions");
  dims_[rank_++] = dim;
}

int64_t Shape::size() const { return size(0, rank_); }

int64_t Shape::size(int first, int last) const {
  int64_t size = 1;
  for (int axis = first; axis < last; ++axis) size *= dims_[axis];
  return size;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int axis = 0; axis < rank_; ++axis) {
    if (dims_[axis] != other.dims_[axis]) return false;
  }
  return true;
}

void Shape::validate(const char* what) const {
  int64_t size = 1;
  for (int64_t dim : *this) {
    check(dim >= 1, "ERR_SHAPE", what, ": every dimension must be at least 1, got ", *this);
    check(dim <= kMaxElements / size, "ERR_SHAPE", what, ": ", *this, " has more than 2^40 elements");
    size *= dim;
  }
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
  return out << ']';
}

Storage::Storage(std::shared_ptr<Device> owner, size_t size, bool idle)
    : device(std::move(owner)), data(device->allocate(size, idle)), bytes(size) {}

Storage::Storage(std::shared_ptr<Device> owner, void* placeholder, size_t size)
    : device(std::move(owner)), data(placeholder), bytes(size), is_placeholder(true) {}

Storage::~Storage() {
  if (deferred) device->deferrals().remove(*this);
  if (data && !is_placeholder) device->deallocate(data);
}

void Storage::written(uint64_t times) {
  if (times == 0) return;
  version += times;
  folds.reset();
}

PackedUse Storage::packed_use(int user) {
  if (device->recorder() && !device->recorder()->runs()) return {};
  if (!packed) packed = std::make_shared<PackedCopies>();
  return {packed, version, packed->used_before(user, version), user};
}

Tensor Tensor::allocate(const std::shared_ptr<Device>& device, DType dtype, const Shape& shape, bool idle) {
  Tensor tensor{nullptr, dtype, shape};
  tensor.storage = std::make_shared<Storage>(device, tensor.bytes(), idle);
  return tensor;
}

}  // namespace convgrad
