#include "addon/bind.h"

#include <cmath>

namespace convgrad::addon {

namespace {

double read_number(const Napi::Value& value, const char* op, const char* field) {
  check(value.IsNumber(), "ERR_VALUE", op, ": ", field, " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

}  // namespace

void read_argument(const Napi::Value& value, const char* op, const char* field, int64_t& out) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;
  const double number = read_number(value, op, field);
  check(std::trunc(number) == number && std::abs(number) <= kMaxSafeInteger, "ERR_VALUE", op, ": ", field,
        " must be an integer, got ", number);
  out = static_cast<int64_t>(number);
}

void read_argument(const Napi::Value& value, const char* op, const char* field, int& out) {
  int64_t number = 0;
  read_argument(value, op, field, number);
  check(number >= INT32_MIN && number <= INT32_MAX, "ERR_VALUE", op, ": ", field, " is out of range: ", number);
  out = static_cast<int>(number);
}

void read_argument(const Napi::Value& value, const char* op, const char* field, float& out) {
  out = static_cast<float>(read_number(value, op, field));
}

void read_argument(const Napi::Value& value, const char* op, const char* field, double& out) {
  out = read_number(value, op, field);
}

void read_argument(const Napi::Value& value, const char* op, const char* field, bool& out) {
  check(value.IsBoolean(), "ERR_VALUE", op, ": ", field, " must be a boolean");
  out = value.As<Napi::Boolean>();
}

void read_argument(const Napi::Value& value, const char* op, const char* field, IntList& out) {
  check(value.IsArray(), "ERR_VALUE", op, ": ", field, " must be an array of integers");
  const Napi::Array array = value.As<Napi::Array>();
  check(array.Length() <= kMaxRank, "ERR_VALUE", op, ": ", field, " has ", array.Length(), " entries, at most ",
        kMaxRank, " are allowed");
  out.clear();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    int64_t entry = 0;
    read_argument(array.Get(i), op, field, entry);
    out.push_back(entry);
  }
}

size_t read_name(const Napi::Value& value, const char* op, const char* field, EnumNames names) {
  const std::string given = value.IsString() ? value.As<Napi::String>().Utf8Value() : "a value that is no string";
  for (size_t i = 0; i < names.size(); ++i) {
    if (given == names[i]) return i;
  }
  std::string wanted;
  for (const char* name : names) wanted += (wanted.empty() ? "'" : ", '") + std::string(name) + "'";
  fail("ERR_VALUE", op, ": ", field, " must be one of ", wanted, ", got ", given);
}

std::string union_type(EnumNames names) {
  std::string type;
  for (const char* name : names) type += (type.empty() ? "'" : " | '") + std::string(name) + "'";
  return type;
}

void Call::read_operands(Views& views, bool may_wait) {
  for (size_t i = 0; i < operands_.size(); ++i) {
    const OperandSpec spec(operands_[i]);
    const Napi::Value value = info_[i];
    if (spec.variadic) {
      check(value.IsArray(), "ERR_VALUE", op_, ": ", spec.name, " must be an array of tensors");
      const Napi::Array array = value.As<Napi::Array>();
      std::vector<View> list;
      for (uint32_t j = 0; j < array.Length(); ++j) list.push_back(read_tensor(array.Get(j), spec));
      views.add_list(list);
    } else if (spec.optional && (value.IsUndefined() || value.IsNull())) {
      storages_.push_back(nullptr);
      views.add(View{});
    } else {
      views.add(read_tensor(value, spec));
    }
  }
  if (!device_) device_ = environment_.device();
  run_deferred(views, [&](size_t i) { return !may_wait || storages_[i]->deferred->continued; });
}

View Call::read_tensor(const Napi::Value& value, const OperandSpec& spec) {
  const Tensor& tensor = readable_tensor_of(value, op_, spec.name);
  if (!device_) device_ = tensor.storage->device;
  check(device_ == tensor.storage->device, "ERR_DEVICE", op_, ": ", spec.name, " is on ",
        tensor.storage->device->name(), ", the other operands are on ", device_->name());
  storages_.push_back(tensor.storage);
  if (spec.written) written_.push_back(tensor.storage.get());
  return tensor;
}

void Call::allocate_outputs(const std::vector<TensorSpec>& specs, Views& views) {
  for (const TensorSpec& spec : specs) {
    const bool is_real = !recorder_ || recorder_->runs();
    outputs_.push_back(is_real ? Tensor::allocate(device_, spec.dtype, spec.shape)
                               : recorder_->placeholder(spec.dtype, spec.shape));
    views.add(outputs_.back());
  }
}

/// Oldest first: where one continues the other, the other is not computed twice.
template <class Chosen>
void Call::run_deferred(Views& views, Chosen chosen) {
  for (;;) {
    size_t oldest = storages_.size();
    for (size_t i = 0; i < storages_.size(); ++i) {
      if (!storages_[i] || !storages_[i]->deferred || !chosen(i)) continue;
      if (oldest == storages_.size() || storages_[i]->deferred->serial < storages_[oldest]->deferred->serial)
        oldest = i;
    }
    if (oldest == storages_.size()) break;
    device_->deferrals().run(*storages_[oldest]);
  }
  for (size_t i = 0; i < storages_.size(); ++i) {
    if (storages_[i]) views.flat()[i].data = storages_[i]->data;
  }
}

bool Call::waits(const std::optional<Place>& place, const std::vector<TensorSpec>& specs, Views& views) {
  if (place && place->stage != Stage::product) {
    for (int i : place->bases) {
      const Deferred* deferred = storages_[i] ? storages_[i]->deferred.get() : nullptr;
      if (!deferred || !deferred->next.has(place->stage)) continue;
      const Shape& shape = deferred->command->operands().out[0].shape;  // not that of a view
      if (views[i].shape != shape || specs[0].shape != shape) continue;
      if (base_ < 0 || deferred->serial > storages_[base_]->deferred->serial) base_ = i;
    }
  }
  run_deferred(views, [&](size_t i) { return static_cast<int>(i) != base_; });
  if (!place) return false;
  if (place->stage == Stage::product) return storages_[1]->fuses;
  if (base_ < 0 || !storages_[base_]->deferred) return false;
  device_->deferrals().give_up_memory(*storages_[base_]);
  return true;
}

Napi::Value Call::defer(std::shared_ptr<Command> command, const Place& place) {
  device_->throw_error();
  auto deferred = std::make_unique<Deferred>();
  deferred->command = std::move(command);
  deferred->stage = place.stage;
  deferred->base = base_;
  if (base_ < 0) {
    deferred->next = place.next;
    deferred->fuse = place.fuse;
  } else {
    deferred->next = storages_[base_]->deferred->next.after(place.stage);
    deferred->fuse = storages_[base_]->deferred->fuse;
  }
  deferred->operands = std::move(storages_);
  device_->deferrals().add(*outputs_[0].storage, std::move(deferred));
  environment_.report_memory();
  return make_handle(info_.Env(), std::move(outputs_[0]));
}

Napi::Value Call::enqueue(std::shared_ptr<Command> command, size_t declared_outputs) {
  device_->throw_error();
  for (const Storage* storage : written_) device_->deferrals().run_readers(*storage);
  if (recorder_) {
    for (const auto& storage : storages_) {
      if (storage) recorder_->operand(storage, std::ranges::count(written_, storage.get()));
    }
    for (const Tensor& output : outputs_) recorder_->output(output.storage);
    command->record(*recorder_);
  }
  device_->submit(std::move(command), recorder_);
  if (!recorder_ || recorder_->runs()) {
    for (Storage* storage : written_) storage->written();
  }
  environment_.report_memory();
  const Napi::Env env = info_.Env();
  if (declared_outputs == 0) return env.Undefined();
  if (declared_outputs == 1) return make_handle(env, std::move(outputs_[0]));
  Napi::Array array = Napi::Array::New(env, outputs_.size());
  for (uint32_t i = 0; i < outputs_.size(); ++i) array.Set(i, make_handle(env, std::move(outputs_[i])));
  return array;
}

Napi::Object make_signature(Napi::Env env, const char* name, Names operands, const Fields& params, Names outputs) {
  const auto to_array = [&](Names names) {
    Napi::Array array = Napi::Array::New(env, names.size());
    for (uint32_t i = 0; i < names.size(); ++i) array.Set(i, Napi::String::New(env, names[i]));
    return array;
  };
  Napi::Array fields = Napi::Array::New(env);
  for (const auto& [field, type] : params) {
    Napi::Array pair = Napi::Array::New(env, 2);
    pair.Set(0u, Napi::String::New(env, field));
    pair.Set(1u, Napi::String::New(env, type));
    fields.Set(fields.Length(), pair);
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", Napi::String::New(env, name));
  object.Set("operands", to_array(operands));
  object.Set("params", fields);
  object.Set("outputs", to_array(outputs));
  return object;
}

}  // namespace convgrad::addon
