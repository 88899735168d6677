#include "plan.h"

#include <algorithm>
#include <numeric>

#include "device.h"

namespace convgrad {

namespace {

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Puts the stretches, in this order, each into the smallest gap that holds it. Returns the size of the block.
size_t place(std::span<Lifetime* const> order) {
  std::vector<const Lifetime*> placed;  // by their offsets
  size_t total = 0;
  for (Lifetime* lifetime : order) {
    constexpr size_t kNone = ~size_t{0};
    size_t best = kNone, best_gap = kNone, end = 0;
    for (const Lifetime* other : placed) {
      if (other->last < lifetime->first || other->first > lifetime->last) continue;
      if (other->offset >= end + lifetime->bytes && other->offset - end < best_gap) {
        best = end;
        best_gap = other->offset - end;
      }
      end = std::max(end, other->offset + aligned(other->bytes));
    }
    lifetime->offset = best == kNone ? end : best;
    total = std::max(total, lifetime->offset + aligned(lifetime->bytes));
    const auto behind = std::upper_bound(placed.begin(), placed.end(), lifetime,
                                         [](auto* a, auto* b) { return a->offset < b->offset; });
    placed.insert(behind, lifetime);
  }
  return total;
}

size_t duration(const Lifetime* lifetime) { return static_cast<size_t>(lifetime->last - lifetime->first + 1); }

}  // namespace

size_t plan_memory(std::span<Lifetime> lifetimes) {
  std::vector<Lifetime*> order;
  for (Lifetime& lifetime : lifetimes) order.push_back(&lifetime);
  std::vector<size_t> offsets(lifetimes.size());
  size_t smallest = ~size_t{0};
  const auto attempt = [&](auto&& weight) {
    std::stable_sort(order.begin(), order.end(), [&](auto* a, auto* b) { return weight(a) > weight(b); });
    const size_t total = place(order);
    if (total >= smallest) return;
    smallest = total;
    std::ranges::transform(lifetimes, offsets.begin(), &Lifetime::offset);
  };
  attempt([](const Lifetime* lifetime) { return lifetime->bytes; });
  attempt([](const Lifetime* lifetime) { return lifetime->bytes * duration(lifetime); });
  attempt([](const Lifetime* lifetime) { return duration(lifetime); });
  for (size_t i = 0; i < lifetimes.size(); ++i) lifetimes[i].offset = offsets[i];
  return smallest;
}

// ---- Program and Plan ----

void Program::bind(const Binding& binding) {
  for (const Patch& patch : patches_) {
    auto* address = static_cast<std::byte*>(binding.addresses[patch.slot]) + patch.offset;
    if (patch.view) {
      patch.view->data = address;
    } else {
      patch.scratch->workspace = address;
    }
  }
  for (size_t i = 0; i < packed_.size(); ++i) {
    if (binding.packed[i].copies) packed_[i]->copies = binding.packed[i].copies;
    packed_[i]->version = binding.packed[i].version;
  }
}

bool Plan::fits(std::span<const Tensor> inputs) const {
  const bool are_alike = std::ranges::equal(inputs, inputs_, [](auto& given, auto& recorded) {
    return given.dtype == recorded.dtype && given.shape == recorded.shape;
  });
  return are_alike && std::ranges::none_of(outside_, [](auto& outside) { return outside.storage.expired(); });
}

bool Plan::is_outdated() const {
  return std::ranges::any_of(packed_, [](const Packed& packed) {
    const auto storage = packed.outside.lock();
    return storage && !packed.keep && storage->packed->was_used(packed.user, storage->version + packed.version);
  });
}

std::vector<Tensor> Plan::replay(std::span<const Tensor> inputs) {
  check(fits(inputs), "ERR_STATE", "replay: the plan does not fit these inputs");

  // The arena goes back as this returns: freeing is stream-ordered.
  const Storage arena(device_, arena_bytes_, /*idle=*/false);
  std::vector<std::shared_ptr<Storage>> fresh;
  Binding binding{{arena.data}, {}};
  for (const Tensor& input : inputs) binding.addresses.push_back(input.storage->data);
  for (size_t bytes : fresh_bytes_) {
    fresh.push_back(std::make_shared<Storage>(device_, bytes, /*idle=*/false));
    binding.addresses.push_back(fresh.back()->data);
  }
  ++replays_;
  for (const Packed& packed : packed_) {
    const PackedUse use = packed_use(packed, inputs);
    if (use.copies) use.copies->used_before(use.user, use.version);
    binding.packed.push_back(use);
  }
  std::vector<std::pair<std::shared_ptr<Storage>, uint64_t>> written;
  for (size_t i = 0; i < inputs.size(); ++i) written.emplace_back(inputs[i].storage, inputs_[i].writes);
  for (const Outside& outside : outside_) written.emplace_back(outside.storage.lock(), outside.writes);
  device_->throw_error();
  for (const auto& [storage, writes] : written) {
    if (writes) device_->deferrals().run_readers(*storage);
  }
  device_->replay(program_, std::move(binding));
  for (const auto& [storage, writes] : written) storage->written(writes);
  std::vector<Tensor> results;
  for (const Result& recorded : results_) results.push_back(result(recorded, inputs, fresh));
  return results;
}

Tensor Plan::result(const Result& recorded, std::span<const Tensor> inputs,
                    std::span<const std::shared_ptr<Storage>> fresh) const {
  const auto storage = recorded.input >= 0   ? inputs[static_cast<size_t>(recorded.input)].storage
                       : recorded.fresh >= 0 ? fresh[static_cast<size_t>(recorded.fresh)]
                                             : recorded.outside.lock();
  return {storage, recorded.dtype, recorded.shape};
}

/// Copies of what the program makes stay the command's own; no two replays have the same version of it.
PackedUse Plan::packed_use(const Packed& recorded, std::span<const Tensor> inputs) const {
  constexpr int kMostWrites = 32;
  const auto storage =
      recorded.input >= 0 ? inputs[static_cast<size_t>(recorded.input)].storage : recorded.outside.lock();
  if (!storage) return {nullptr, (replays_ << kMostWrites) + recorded.version, recorded.keep, recorded.user};
  if (!storage->packed) storage->packed = std::make_shared<PackedCopies>();
  return {storage->packed, storage->version + recorded.version, recorded.keep, recorded.user};
}

// ---- Recorder ----

Recorder::Recorder(std::shared_ptr<Device> device, std::span<const Tensor> inputs, RecordingMode mode)
    : device_(std::move(device)), mode_(mode) {
  for (const Tensor& input : inputs) {
    if (block_at_.contains(input.storage->data)) refuse("has two inputs that share their memory");
    const uint32_t block = new_block(Kind::input, input.storage);
    blocks_[block].slot = static_cast<int>(block) + 1;  // after the arena
    plan_->inputs_.push_back({input.dtype, input.shape, 0});
  }
}

void Recorder::refuse(const char* what) {
  refused_ = what;
  if (mode_ != RecordingMode::lenient) throw_refusal();
}

void Recorder::throw_refusal() const {
  fail("ERR_STATE", "capture: the function ", refused_, ", which a replay would not repeat: do that outside of it");
}

void Recorder::mix(uint64_t value) {
  digest_ = (digest_ ^ value) * 0x9e3779b97f4a7c15u;
  digest_ ^= digest_ >> 29;
}

uint32_t Recorder::new_block(Kind kind, const std::shared_ptr<Storage>& storage) {
  const auto block = static_cast<uint32_t>(blocks_.size());
  blocks_.push_back({kind, storage->bytes, storage, storage->version});
  block_at_[storage->data] = block;
  return block;
}

void Recorder::operand(const std::shared_ptr<Storage>& storage, bool written) {
  const auto known = block_at_.find(storage->data);
  const uint32_t block = known != block_at_.end() ? known->second : new_block(Kind::outside, storage);
  blocks_[block].writes += written;
}

void Recorder::output(const std::shared_ptr<Storage>& storage) { new_block(Kind::made, storage); }

Tensor Recorder::placeholder(DType dtype, const Shape& shape) {
  Tensor tensor{nullptr, dtype, shape};
  next_placeholder_ += kAlignment;  // addresses that no memory has
  tensor.storage = std::make_shared<Storage>(device_, reinterpret_cast<void*>(next_placeholder_), tensor.bytes());
  return tensor;
}

void Recorder::constant(const Tensor& tensor) {
  new_block(Kind::constant, tensor.storage);
  if (runs()) plan_->kept_.push_back(tensor.storage);
  const auto* bytes = static_cast<const uint8_t*>(tensor.storage->data);
  for (size_t i = 0; i < tensor.bytes(); ++i) mix(bytes[i]);
}

void Recorder::add(std::shared_ptr<Command> command) {
  for (const char* c = command->op_name; *c; ++c) mix(static_cast<uint64_t>(*c));
  use(command->operands().in);
  use(command->operands().out);
  if (command->operands().packed.copies) use_packed(command->operands());
  ++commands_;
  if (runs()) plan_->program_->commands_.push_back(std::move(command));
}

void Recorder::use(Views& views) {
  for (int i = 0; i < views.count(); ++i) {
    mix(views.list(i).size());
    for (View& view : views.list(i)) {
      if (!view) continue;
      const uint32_t index = block_at_.at(view.data);
      Block& block = blocks_[index];
      if (block.first < 0) block.first = commands_;
      block.last = commands_;
      if (runs()) uses_.push_back({&view, index});
      mix(index);
      if (block.kind == Kind::outside) mix(reinterpret_cast<uintptr_t>(view.data));
      mix(static_cast<uint64_t>(view.dtype));
      mix(static_cast<uint64_t>(view.shape.rank()));
      for (int64_t dim : view.shape) mix(static_cast<uint64_t>(dim));
    }
  }
}

void Recorder::use_packed(Operands& operands) {
  PackedUse& packed = operands.packed;
  for (int i = 0; i < operands.in.count(); ++i) {
    if (!operands.in.has(i)) continue;
    const uint32_t block = block_at_.at(operands.in[i].data);
    const auto storage = blocks_[block].storage.lock();
    if (!storage || storage->packed != packed.copies) continue;
    plan_->program_->packed_.push_back(&packed);
    packed_blocks_.push_back(block);
    return;
  }
}

std::unique_ptr<Plan> Recorder::finish(std::span<const Tensor> results) {
  mark();
  for (const Tensor& tensor : results) plan_->results_.push_back(result_of(tensor, *plan_));
  if (refused_ && mode_ == RecordingMode::strict) throw_refusal();  // the function may have caught it
  if (refused_ || !place_blocks(*plan_)) return nullptr;
  plan_->device_ = device_;
  plan_->digest_ = digest_;
  plan_->marked_digest_ = marked_digest_;
  return std::move(plan_);
}

Plan::Result Recorder::result_of(const Tensor& tensor, Plan& plan) {
  operand(tensor.storage, false);  // it may be the first that is seen of it
  const uint32_t index = block_at_.at(tensor.storage->data);
  mix(index);
  Block& block = blocks_[index];
  Plan::Result result{tensor.dtype, tensor.shape, -1, -1, {}};
  const int inputs = static_cast<int>(plan.inputs_.size());
  if (block.kind == Kind::input) {
    result.input = block.slot - 1;
  } else if (block.kind == Kind::made) {
    if (block.slot < 0) {
      plan.fresh_bytes_.push_back(block.bytes);
      block.slot = inputs + static_cast<int>(plan.fresh_bytes_.size());
    }
    result.fresh = block.slot - 1 - inputs;
  } else {
    result.outside = block.storage;
  }
  return result;
}

/// Decides where each block is during a replay: at a slot of its own, in the arena, or where it was.
bool Recorder::place_blocks(Plan& plan) {
  Program& program = *plan.program_;
  std::vector<Lifetime> lifetimes;
  std::vector<int> in_arena(blocks_.size(), -1);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    auto storage = block.storage.lock();
    if (block.kind == Kind::input) plan.inputs_[static_cast<size_t>(block.slot - 1)].writes = block.writes;
    if (block.kind == Kind::outside) {
      if (!storage) return false;
      plan.outside_.push_back({storage, block.writes});
    }
    if (block.kind == Kind::constant) {
      if (block.writes) return false;  // it would not be what it was
      plan.leaves_tensors_ |= storage.use_count() > 2;
    }
    if (block.kind != Kind::made || block.slot >= 0) continue;
    if (storage) {
      plan.leaves_tensors_ = true;
      plan.outside_.push_back({storage, 1 + block.writes});
      plan.kept_.push_back(std::move(storage));
    } else {
      in_arena[i] = static_cast<int>(lifetimes.size());
      lifetimes.push_back({block.bytes, block.first, block.last});
    }
  }
  const size_t first_scratch = lifetimes.size();
  for (int i = 0; i < commands_; ++i) {
    const size_t bytes = program.commands_[static_cast<size_t>(i)]->operands().workspace_bytes;
    if (bytes) lifetimes.push_back({bytes, i, i});
  }
  plan.arena_bytes_ = plan_memory(lifetimes);

  for (const Use& use : uses_) {
    const int slot = blocks_[use.block].slot, lifetime = in_arena[use.block];
    if (lifetime >= 0) {
      program.patches_.push_back({use.view, nullptr, 0, lifetimes[static_cast<size_t>(lifetime)].offset});
    } else if (slot >= 0) {
      program.patches_.push_back({use.view, nullptr, static_cast<size_t>(slot), 0});
    }
  }
  auto scratch = lifetimes.begin() + static_cast<std::ptrdiff_t>(first_scratch);
  for (const auto& command : program.commands_) {
    Operands& operands = command->operands();
    if (operands.workspace_bytes) program.patches_.push_back({nullptr, &operands, 0, (scratch++)->offset});
  }
  for (size_t i = 0; i < packed_blocks_.size(); ++i) {
    const Block& block = blocks_[packed_blocks_[i]];
    const PackedUse& use = *program.packed_[i];
    Plan::Packed packed{-1, {}, use.version - block.version, use.keep, use.user};
    if (block.kind == Kind::input) packed.input = block.slot - 1;
    if (block.kind == Kind::outside || block.kind == Kind::constant) packed.outside = block.storage;
    plan.packed_.push_back(packed);
  }
  return true;
}

}  // namespace convgrad
