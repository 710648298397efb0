// Any bytes as one record: whatever the kernel, or a damaged ring, may hand us.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "sampler/perf/event_config.h"
#include "sampler/perf/record_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace whyslow;
  if (size < sizeof(perf_event_header) || size > UINT16_MAX) {
    return 0;
  }
  std::vector<std::byte> record(size);
  std::memcpy(record.data(), data, size);
  const auto true_size = static_cast<uint16_t>(size);
  std::memcpy(record.data() + offsetof(perf_event_header, size), &true_size, sizeof(true_size));
  static const RecordLayout kFull =
      RecordLayout::Of(SamplingAttributes({.user_callchain = true, .stack_bytes = 64}, {}));
  for (const RecordLayout& layout : {kFull, RecordLayout()}) {
    OwnerOf(record, layout);
    ParseRecord(record, layout);
  }
  return 0;
}
