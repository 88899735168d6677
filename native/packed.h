// Private copies of a tensor in the layouts that kernels want: a weight in panels, or transformed. They are kept with
// the tensor's storage and stand for one version of it.
//
// Whether a command uses a kept copy is decided where it is enqueued, since its scratch memory depends on it: when the
// same op has used the same version before. So inference packs a weight once, and training, which changes weights with
// every step, keeps nothing. The copies are made and read on the device's thread, in the order of the commands, which
// share their ownership: disposing the tensor does no harm.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace convgrad {

class PackedCopies {
 public:
  /// What tells copies of one tensor from each other: the kind of the layout, and the numbers that it depends on.
  using Key = std::array<int64_t, 12>;

  /// JavaScript's thread: whether `user` (an op, or one way of it) has used this version before.
  bool used_before(int user, uint64_t version) {
    const auto [entry, is_new] = last_used_.try_emplace(user, version);
    if (!is_new && entry->second == version) return true;
    entry->second = version;
    return false;
  }

  /// The same, without counting as a use.
  bool was_used(int user, uint64_t version) const {
    const auto entry = last_used_.find(user);
    return entry != last_used_.end() && entry->second == version;
  }

  /// The device's thread: the copy of this version. `pack(float*)` makes it where there is none yet.
  template <class Pack>
  const float* get(const Key& key, uint64_t version, size_t floats, Pack&& pack) {
    Copy& copy = copies_[key];
    if (!copy.data || copy.version != version) {
      if (!copy.data) copy.data = Block(floats);
      pack(copy.data.floats());
      copy.version = version;
    }
    return copy.data.floats();
  }

  /// Of all tensors' copies.
  static size_t total_bytes() { return total_.load(std::memory_order_relaxed); }

 private:
  class Block {
   public:
    Block() = default;
    explicit Block(size_t floats);
    ~Block();
    Block(Block&& other) noexcept { swap(other); }
    Block& operator=(Block&& other) noexcept { return swap(other), *this; }
    explicit operator bool() const { return data_ != nullptr; }
    float* floats() const { return data_; }

   private:
    void swap(Block& other) {
      std::swap(data_, other.data_);
      std::swap(bytes_, other.bytes_);
    }
    float* data_ = nullptr;
    size_t bytes_ = 0;
  };

  struct Copy {
    uint64_t version = 0;
    Block data;
  };

  std::map<Key, Copy> copies_;
  std::map<int, uint64_t> last_used_;
  static std::atomic<size_t> total_;
};

/// A command's use of a tensor's copies; `keep` is what used_before() said.
struct PackedUse {
  std::shared_ptr<PackedCopies> copies;
  uint64_t version = 0;
  bool keep = false;
  int user = 0;
};

}  // namespace convgrad
