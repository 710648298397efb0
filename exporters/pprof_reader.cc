#include "exporters/pprof_reader.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_format.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/file_io.h"
#include "base/status.h"
#include "exporters/beside_pprof.h"
#include "exporters/gzip.h"
#include "exporters/pprof_fields.h"
#include "exporters/proto/profile.pb.h"
#include "profile/profile_builder.h"

namespace whyslow {
namespace {

namespace pprof = perftools::profiles;

absl::Status Damaged(std::string_view why) { return MakeStatus(absl::StatusCode::kDataLoss, why); }

// A few bytes of a file can make a row of many bytes. The largest profiles seen in practice have
// some ten million nodes.
constexpr size_t kMostStackNodes = size_t{1} << 26;

// By the names that capture tools agree on; what is left is a file.
ModuleKind KindOfMapping(std::string_view path) {
  static constexpr std::pair<std::string_view, ModuleKind> kBeginnings[] = {
      {"[kernel", ModuleKind::kKernel}, {"[guest.kernel", ModuleKind::kKernel},
      {"[vdso", ModuleKind::kVdso},     {"[vsyscall", ModuleKind::kVdso},
      {"[python", ModuleKind::kPython}, {"[wait", ModuleKind::kWait},
      {"[whyslow", ModuleKind::kNote},  {"[jit", ModuleKind::kJit},
      {"/tmp/perf-", ModuleKind::kJit}, {"//anon", ModuleKind::kJit},
      {"[anon", ModuleKind::kJit},
  };
  for (const auto& [beginning, kind] : kBeginnings) {
    if (path.starts_with(beginning)) {
      return kind;
    }
  }
  return ModuleKind::kFile;
}

// Rows of a table by the ids that the file gave them. Ids are any numbers but 0, each used once.
template <class Row>
class IdTable {
 public:
  explicit IdTable(std::string_view what) : what_(what) {}

  absl::Status Add(uint64_t id, size_t row) {
    if (id == 0) {
      return Damaged(absl::StrFormat("a %s has the id 0", what_));
    }
    if (!rows_.try_emplace(id, Index<Row>(static_cast<uint32_t>(row))).second) {
      return Damaged(absl::StrFormat("two %ss have the id %d", what_, id));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Index<Row>> Find(uint64_t id) const {
    const auto row = rows_.find(id);
    if (row == rows_.end()) {
      return Damaged(absl::StrFormat("there is no %s with the id %d", what_, id));
    }
    return row->second;
  }
  // Where the format lets 0 stand for "unknown".
  absl::StatusOr<Index<Row>> FindOrNone(uint64_t id) const {
    return id == 0 ? absl::StatusOr<Index<Row>>(Index<Row>()) : Find(id);
  }

 private:
  std::string_view what_;
  absl::flat_hash_map<uint64_t, Index<Row>> rows_;
};

// Fields of one message may come in any order, so each table is filled in a walk of its own, after
// the tables that it refers to.
class ProfileReader {
 public:
  explicit ProfileReader(std::string_view message) : message_(message) {}

  absl::StatusOr<Profile> Read() && {
    RETURN_IF_ERROR(Walk(&ProfileReader::ReadTextsAndHeader));
    RETURN_IF_ERROR(CheckTexts());
    RETURN_IF_ERROR(TakeHeader());
    RETURN_IF_ERROR(Walk(&ProfileReader::ReadModuleOrFunction));
    RETURN_IF_ERROR(Walk(&ProfileReader::ReadLocation));
    RETURN_IF_ERROR(Walk(&ProfileReader::ReadSample));
    RETURN_IF_ERROR(Walk(&ProfileReader::ReadOrKeepOthers));
    return std::move(builder_).Build();
  }

 private:
  using Step = absl::Status (ProfileReader::*)(const ProtoField&);

  absl::Status Walk(Step step) {
    ProtoFieldReader fields(message_);
    while (const std::optional<ProtoField> field = fields.Next()) {
      RETURN_IF_ERROR((this->*step)(*field));
    }
    return fields.damaged() ? Damaged("the data is damaged or ends too early") : absl::OkStatus();
  }

  // Parses the payload into a message that is used again and again. Fields that this version does
  // not know inside of rows are not kept: facts beyond pprof's own belong to the top level.
  template <class Message>
  absl::Status Parse(const ProtoField& field, Message& message, std::string_view what) {
    if (!field.is_message || field.payload.size() > std::numeric_limits<int>::max() ||
        !message.ParseFromArray(field.payload.data(), static_cast<int>(field.payload.size()))) {
      return Damaged(absl::StrFormat("a %s is damaged", what));
    }
    return absl::OkStatus();
  }

  absl::Status ReadTextsAndHeader(const ProtoField& field) {
    switch (field.number) {
      case pprof::Profile::kStringTableFieldNumber:
        if (!field.is_message) {
          return Damaged("a text is damaged");
        }
        profile_.strings.emplace_back(field.payload);
        return absl::OkStatus();
      case pprof::Profile::kSampleFieldNumber:
      case pprof::Profile::kMappingFieldNumber:
      case pprof::Profile::kLocationFieldNumber:
      case pprof::Profile::kFunctionFieldNumber:
        return absl::OkStatus();
      default:
        return ReadHeaderField(field);
    }
  }

  absl::Status ReadHeaderField(const ProtoField& field) {
    if (field.number > pprof::Profile::kDocUrlFieldNumber) {
      return absl::OkStatus();  // for ReadOrKeepOthers
    }
    const bool may_be_message = field.number == pprof::Profile::kSampleTypeFieldNumber ||
                                field.number == pprof::Profile::kPeriodTypeFieldNumber ||
                                field.number == pprof::Profile::kCommentFieldNumber;
    const bool may_be_number =
        !may_be_message || field.number == pprof::Profile::kCommentFieldNumber;
    if (!(field.is_message && may_be_message) && !(field.is_varint && may_be_number)) {
      return Damaged(absl::StrFormat("the field %d is damaged", field.number));
    }
    header_.append(field.raw);
    return absl::OkStatus();
  }

  absl::Status CheckTexts() {
    // The tables' own first row, then the file's.
    profile_.strings.erase(profile_.strings.begin());
    if (profile_.strings.empty()) {
      return Damaged("it has no texts at all");
    }
    if (!profile_.strings.front().empty()) {
      return Damaged("its first text is not the empty one");
    }
    if (profile_.strings.size() >= std::numeric_limits<uint32_t>::max()) {
      return Damaged("it has too many texts");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<StringIndex> Text(int64_t index) const {
    if (index < 0 || static_cast<uint64_t>(index) >= profile_.strings.size()) {
      return Damaged(absl::StrFormat("there is no text %d", index));
    }
    return StringIndex(static_cast<uint32_t>(index));
  }

  absl::StatusOr<ValueType> TypeFrom(const pprof::ValueType& message) const {
    ValueType type;
    ASSIGN_OR_RETURN(type.type, Text(message.type()));
    ASSIGN_OR_RETURN(type.unit, Text(message.unit()));
    return type;
  }

  absl::Status TakeHeader() {
    pprof::Profile header;
    if (!header.ParseFromString(header_)) {
      return Damaged("its header is damaged");
    }
    for (const pprof::ValueType& message : header.sample_type()) {
      ASSIGN_OR_RETURN(const ValueType type, TypeFrom(message));
      profile_.value_types.push_back(type);
    }
    ASSIGN_OR_RETURN(profile_.drop_frames, Text(header.drop_frames()));
    ASSIGN_OR_RETURN(profile_.keep_frames, Text(header.keep_frames()));
    profile_.time_nanos = header.time_nanos();
    profile_.duration_nanos = header.duration_nanos();
    ASSIGN_OR_RETURN(profile_.period_type, TypeFrom(header.period_type()));
    profile_.period = header.period();
    for (const int64_t comment : header.comment()) {
      ASSIGN_OR_RETURN(const StringIndex text, Text(comment));
      profile_.comments.push_back(text);
    }
    ASSIGN_OR_RETURN(profile_.default_sample_type, Text(header.default_sample_type()));
    ASSIGN_OR_RETURN(profile_.doc_url, Text(header.doc_url()));
    return absl::OkStatus();
  }

  absl::Status ReadModuleOrFunction(const ProtoField& field) {
    switch (field.number) {
      case pprof::Profile::kMappingFieldNumber:
        return ReadModule(field);
      case pprof::Profile::kFunctionFieldNumber:
        return ReadFunction(field);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status ReadModule(const ProtoField& field) {
    pprof::Mapping message;
    RETURN_IF_ERROR(Parse(field, message, "mapping"));
    RETURN_IF_ERROR(module_ids_.Add(message.id(), profile_.modules.size()));
    Module module;
    ASSIGN_OR_RETURN(module.path, Text(message.filename()));
    ASSIGN_OR_RETURN(module.build_id, Text(message.build_id()));
    module.kind = KindOfMapping(profile_.Text(module.path));
    module.memory_start = message.memory_start();
    module.memory_limit = message.memory_limit();
    module.file_offset = message.file_offset();
    module.has_functions = message.has_functions();
    module.has_filenames = message.has_filenames();
    module.has_line_numbers = message.has_line_numbers();
    module.has_inline_frames = message.has_inline_frames();
    profile_.modules.push_back(module);
    return absl::OkStatus();
  }

  absl::Status ReadFunction(const ProtoField& field) {
    pprof::Function message;
    RETURN_IF_ERROR(Parse(field, message, "function"));
    RETURN_IF_ERROR(function_ids_.Add(message.id(), profile_.functions.size()));
    Function function;
    ASSIGN_OR_RETURN(function.name, Text(message.name()));
    ASSIGN_OR_RETURN(function.system_name, Text(message.system_name()));
    ASSIGN_OR_RETURN(function.file, Text(message.filename()));
    function.start_line = message.start_line();
    profile_.functions.push_back(function);
    return absl::OkStatus();
  }

  absl::Status ReadLocation(const ProtoField& field) {
    if (field.number != pprof::Profile::kLocationFieldNumber) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Parse(field, location_, "location"));
    RETURN_IF_ERROR(location_ids_.Add(location_.id(), profile_.locations.size()));
    Location location;
    ASSIGN_OR_RETURN(location.module, module_ids_.FindOrNone(location_.mapping_id()));
    location.address = location_.address();
    location.is_folded = location_.is_folded();
    for (const pprof::Line& message : location_.line()) {
      ASSIGN_OR_RETURN(const FunctionIndex function,
                       function_ids_.FindOrNone(message.function_id()));
      location.lines.push_back({function, message.line(), message.column()});
    }
    profile_.locations.push_back(std::move(location));
    return absl::OkStatus();
  }

  absl::Status ReadSample(const ProtoField& field) {
    if (field.number != pprof::Profile::kSampleFieldNumber) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Parse(field, sample_, "sample"));
    if (static_cast<size_t>(sample_.value_size()) != profile_.value_types.size() ||
        profile_.value_types.empty()) {
      return Damaged(absl::StrFormat("a sample has %d values where the profile has %d types",
                                     sample_.value_size(), profile_.value_types.size()));
    }
    Sample sample;
    for (int i = sample_.location_id_size(); i-- > 0;) {
      ASSIGN_OR_RETURN(const LocationIndex location, location_ids_.Find(sample_.location_id(i)));
      sample.stack = builder_.AddStackNode(sample.stack, location);
    }
    if (profile_.stacks.size() > kMostStackNodes) {
      return MakeStatus(absl::StatusCode::kResourceExhausted, "it has too many distinct stacks");
    }
    ASSIGN_OR_RETURN(sample.labels, LabelsFrom(sample_));
    // Rows that are equal stay two rows: what another tool kept apart is not ours to add up.
    profile_.samples.push_back(sample);
    profile_.values.insert(profile_.values.end(), sample_.value().begin(), sample_.value().end());
    return absl::OkStatus();
  }

  // What pprof itself does not have. The first message that tells something counts; whatever is not
  // ours, or cannot be right, is kept and never fails the profile.
  absl::Status ReadOrKeepOthers(const ProtoField& field) {
    if (field.number <= pprof::Profile::kDocUrlFieldNumber) {
      return absl::OkStatus();
    }
    if (field.number == kBesidePprofField && field.is_message && !found_ours_) {
      if (const std::optional<std::string> rest = DecodeBesidePprof(field.payload, profile_)) {
        found_ours_ = !profile_.wait_times.empty();
        if (!rest->empty()) {
          AppendProtoPrefix(kBesidePprofField, rest->size(), profile_.unknown_fields);
          profile_.unknown_fields += *rest;
        }
        return absl::OkStatus();
      }
    }
    profile_.unknown_fields.append(field.raw);
    return absl::OkStatus();
  }

  absl::StatusOr<LabelSetIndex> LabelsFrom(const pprof::Sample& sample) {
    labels_.clear();
    for (const pprof::Label& message : sample.label()) {
      Label label;
      ASSIGN_OR_RETURN(label.key, Text(message.key()));
      ASSIGN_OR_RETURN(label.text, Text(message.str()));
      label.number = message.num();
      ASSIGN_OR_RETURN(label.unit, Text(message.num_unit()));
      labels_.push_back(label);
    }
    return builder_.AddLabels(labels_);
  }

  std::string_view message_;
  // Only stacks and label sets are interned; the other tables keep the file's rows as they are, and
  // with them the meaning of every index in it.
  ProfileBuilder builder_;
  Profile& profile_ = builder_.header();
  bool found_ours_ = false;
  std::string header_;  // the fields of the top level that are no table
  IdTable<Module> module_ids_{"mapping"};
  IdTable<Function> function_ids_{"function"};
  IdTable<Location> location_ids_{"location"};
  pprof::Location location_;
  pprof::Sample sample_;
  std::vector<Label> labels_;
};

absl::Status Named(const std::string& name, const absl::Status& status) {
  return MakeStatus(status.code(), absl::StrFormat("%s: not a readable pprof profile: %s", name,
                                                   std::string(status.message())));
}

}  // namespace

absl::StatusOr<Profile> ParsePprof(const std::string& bytes, const std::string& name) {
  if (bytes.empty()) {
    return Named(name, Damaged("it is empty"));
  }
  if (!IsGzip(bytes)) {
    absl::StatusOr<Profile> profile = ProfileReader(bytes).Read();
    return profile.ok() ? std::move(profile) : Named(name, profile.status());
  }
  absl::StatusOr<std::string> unpacked = Gunzip(bytes);
  if (!unpacked.ok()) {
    return Named(name, unpacked.status());
  }
  absl::StatusOr<Profile> profile = ProfileReader(*unpacked).Read();
  return profile.ok() ? std::move(profile) : Named(name, profile.status());
}

absl::StatusOr<Profile> ReadPprofFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParsePprof(bytes, path);
}

}  // namespace whyslow
