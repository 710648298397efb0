#include "exporters/pprof_writer.h"

#include <string>
#include <vector>

#include "exporters/beside_pprof.h"
#include "exporters/clean_text.h"
#include "exporters/gzip.h"
#include "exporters/pprof_fields.h"
#include "exporters/proto/profile.pb.h"

namespace whyslow {
namespace {

namespace pprof = perftools::profiles;

// Appends one field after the other to a compressed stream.
class FieldWriter {
 public:
  explicit FieldWriter(std::ostream& out) : gzip_(out) {}

  void AppendBytes(uint32_t field, std::string_view bytes) {
    prefix_.clear();
    AppendProtoPrefix(field, bytes.size(), prefix_);
    gzip_.Append(prefix_);
    gzip_.Append(bytes);
  }
  void AppendMessage(uint32_t field, const google::protobuf::MessageLite& message) {
    message.SerializeToString(&scratch_);
    AppendBytes(field, scratch_);
  }
  void AppendRaw(std::string_view fields) { gzip_.Append(fields); }
  absl::Status Finish() { return gzip_.Finish(); }

 private:
  GzipWriter gzip_;
  std::string prefix_;
  std::string scratch_;
};

int64_t TextId(StringIndex index) { return index.valid() ? int64_t{index.value()} : 0; }

template <class Row>
uint64_t IdOf(Index<Row> index) {
  return index.valid() ? uint64_t{index.value()} + 1 : 0;
}

void Fill(const ValueType& type, pprof::ValueType& out) {
  out.set_type(TextId(type.type));
  out.set_unit(TextId(type.unit));
}

// One walk over a profile's tables. Messages are members, because a message that is used again
// keeps its memory.
class ProfileWriter {
 public:
  ProfileWriter(const Profile& profile, std::ostream& out) : profile_(profile), fields_(out) {
    OrderModules();
  }

  absl::Status Write() && {
    for (const ValueType& type : profile_.value_types) {
      pprof::ValueType message;
      Fill(type, message);
      fields_.AppendMessage(pprof::Profile::kSampleTypeFieldNumber, message);
    }
    for (size_t i = 0; i < profile_.samples.size(); ++i) {
      WriteSample(i);
    }
    for (const uint32_t module : module_order_) {
      WriteModule(module);
    }
    for (size_t i = 0; i < profile_.locations.size(); ++i) {
      WriteLocation(i);
    }
    for (size_t i = 0; i < profile_.functions.size(); ++i) {
      WriteFunction(i);
    }
    for (const std::string& text : profile_.strings) {
      // The format's texts are UTF-8, and many readers refuse a whole file for one bad byte. The
      // kernel cuts thread names after 15 bytes, also in the middle of a character.
      fields_.AppendBytes(pprof::Profile::kStringTableFieldNumber, ValidUtf8(text));
    }
    WriteHeader();
    if (const std::string beside = EncodeBesidePprof(profile_); !beside.empty()) {
      fields_.AppendBytes(kBesidePprofField, beside);
    }
    fields_.AppendRaw(profile_.unknown_fields);
    return fields_.Finish();
  }

 private:
  // The main binary is the first file: capture meets the executable before its libraries.
  void OrderModules() {
    uint32_t main = 0;
    while (main < profile_.modules.size() && profile_.modules[main].kind != ModuleKind::kFile) {
      ++main;
    }
    if (main < profile_.modules.size()) {
      module_order_.push_back(main);
    }
    for (uint32_t i = 0; i < profile_.modules.size(); ++i) {
      if (i != main) {
        module_order_.push_back(i);
      }
    }
    module_ids_.resize(profile_.modules.size());
    for (size_t i = 0; i < module_order_.size(); ++i) {
      module_ids_[module_order_[i]] = i + 1;
    }
  }

  void WriteSample(size_t index) {
    const Sample& sample = profile_.samples[index];
    sample_.Clear();
    stack_.clear();
    AppendLocations(profile_, sample.stack, stack_);
    for (const LocationIndex location : stack_) {
      sample_.add_location_id(IdOf(location));
    }
    for (const int64_t value : profile_.ValuesOf(index)) {
      sample_.add_value(value);
    }
    for (const Label& label : profile_.LabelsOf(sample)) {
      pprof::Label& message = *sample_.add_label();
      message.set_key(TextId(label.key));
      message.set_str(TextId(label.text));
      message.set_num(label.number);
      message.set_num_unit(TextId(label.unit));
    }
    fields_.AppendMessage(pprof::Profile::kSampleFieldNumber, sample_);
  }

  void WriteModule(uint32_t index) {
    const Module& module = profile_.modules[index];
    pprof::Mapping message;
    message.set_id(module_ids_[index]);
    message.set_memory_start(module.memory_start);
    message.set_memory_limit(module.memory_limit);
    message.set_file_offset(module.file_offset);
    message.set_filename(TextId(module.path));
    message.set_build_id(TextId(module.build_id));
    message.set_has_functions(module.has_functions);
    message.set_has_filenames(module.has_filenames);
    message.set_has_line_numbers(module.has_line_numbers);
    message.set_has_inline_frames(module.has_inline_frames);
    fields_.AppendMessage(pprof::Profile::kMappingFieldNumber, message);
  }

  void WriteLocation(size_t index) {
    const Location& location = profile_.locations[index];
    location_.Clear();
    location_.set_id(index + 1);
    location_.set_mapping_id(location.module.valid() ? module_ids_[location.module.value()] : 0);
    location_.set_address(location.address);
    location_.set_is_folded(location.is_folded);
    for (const Line& line : location.lines) {
      pprof::Line& message = *location_.add_line();
      message.set_function_id(IdOf(line.function));
      message.set_line(line.line);
      message.set_column(line.column);
    }
    fields_.AppendMessage(pprof::Profile::kLocationFieldNumber, location_);
  }

  void WriteFunction(size_t index) {
    const Function& function = profile_.functions[index];
    pprof::Function message;
    message.set_id(index + 1);
    message.set_name(TextId(function.name));
    message.set_system_name(TextId(function.system_name));
    message.set_filename(TextId(function.file));
    message.set_start_line(function.start_line);
    fields_.AppendMessage(pprof::Profile::kFunctionFieldNumber, message);
  }

  void WriteHeader() {
    pprof::Profile header;
    header.set_drop_frames(TextId(profile_.drop_frames));
    header.set_keep_frames(TextId(profile_.keep_frames));
    header.set_time_nanos(profile_.time_nanos);
    header.set_duration_nanos(profile_.duration_nanos);
    if (profile_.period_type != ValueType{}) {
      Fill(profile_.period_type, *header.mutable_period_type());
    }
    header.set_period(profile_.period);
    for (const StringIndex comment : profile_.comments) {
      header.add_comment(TextId(comment));
    }
    header.set_default_sample_type(TextId(profile_.default_sample_type));
    header.set_doc_url(TextId(profile_.doc_url));
    fields_.AppendRaw(header.SerializeAsString());
  }

  const Profile& profile_;
  FieldWriter fields_;
  std::vector<uint32_t> module_order_;  // as they go out
  std::vector<uint64_t> module_ids_;    // by ModuleIndex
  std::vector<LocationIndex> stack_;
  pprof::Sample sample_;
  pprof::Location location_;
};

}  // namespace

absl::Status PprofExporter::Write(const Profile& profile, std::ostream& out) const {
  return ProfileWriter(profile, out).Write();
}

}  // namespace whyslow
