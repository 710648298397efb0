#include "sampler/perf/ring_buffer.h"

#include <gmock/gmock.h>
#include <sys/mman.h>

#include <cstring>

#include "tests/unit/sampler/perf/record_bytes.h"

namespace whyslow {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;

constexpr size_t kPage = 4096;

// The kernel's side of a ring, in ordinary memory.
class FakeKernelRing {
 public:
  FakeKernelRing()
      : region_(MappedRegion::Map(-1, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                  0, "a test's ring")
                    .value()),
        bytes_(region_.bytes()) {}

  void StartAt(uint64_t position) { control()->data_head = control()->data_tail = position; }
  void Write(const std::vector<std::byte>& record) {
    for (const std::byte byte : record) {
      bytes_[kPage + control()->data_head++ % kPage] = byte;
    }
  }
  uint64_t tail() const { return control()->data_tail; }
  PerfRing Reader() { return PerfRing::FromRegion(std::move(region_), kPage); }

 private:
  perf_event_mmap_page* control() const {
    return reinterpret_cast<perf_event_mmap_page*>(bytes_.data());
  }

  MappedRegion region_;
  std::span<std::byte> bytes_;  // valid while the reader that took the region lives
};

std::vector<std::byte> Record(uint64_t payload) {
  return RecordBytes(PERF_RECORD_COMM).Put(payload).Put(~payload).Done();
}

TEST(PerfRing, AnEmptyRingHasNoRecord) {
  FakeKernelRing kernel;
  PerfRing ring = kernel.Reader();

  EXPECT_THAT(ring.Next(ring.Head()), IsEmpty());
}

TEST(PerfRing, RecordsComeOneByOne) {
  FakeKernelRing kernel;
  PerfRing ring = kernel.Reader();
  kernel.Write(Record(1));
  kernel.Write(Record(2));
  const uint64_t until = ring.Head();

  EXPECT_THAT(ring.Next(until), ElementsAreArray(Record(1)));
  EXPECT_THAT(ring.Next(until), ElementsAreArray(Record(2)));
  EXPECT_THAT(ring.Next(until), IsEmpty());
}

TEST(PerfRing, ARecordThatWrapsIsJoined) {
  FakeKernelRing kernel;
  kernel.StartAt(kPage - 12);
  PerfRing ring = kernel.Reader();
  kernel.Write(Record(0x1122334455667788));

  EXPECT_THAT(ring.Next(ring.Head()), ElementsAreArray(Record(0x1122334455667788)));
}

TEST(PerfRing, ItsRoomIsGivenBackOnceTheNextOneIsAskedFor) {
  FakeKernelRing kernel;
  PerfRing ring = kernel.Reader();
  kernel.Write(Record(1));

  const auto record = ring.Next(ring.Head());
  EXPECT_EQ(kernel.tail(), 0);
  const size_t size = record.size();
  EXPECT_THAT(ring.Next(ring.Head()), IsEmpty());
  EXPECT_EQ(kernel.tail(), size);
}

TEST(PerfRing, RecordsAfterTheGivenHeadStay) {
  FakeKernelRing kernel;
  PerfRing ring = kernel.Reader();
  kernel.Write(Record(1));
  const uint64_t until = ring.Head();
  kernel.Write(Record(2));

  EXPECT_THAT(ring.Next(until), ElementsAreArray(Record(1)));
  EXPECT_THAT(ring.Next(until), IsEmpty());
  EXPECT_THAT(ring.Next(ring.Head()), ElementsAreArray(Record(2)));
}

TEST(PerfRing, ADamagedSizeSkipsWhatIsThere) {
  FakeKernelRing kernel;
  PerfRing ring = kernel.Reader();
  std::vector<std::byte> damaged = Record(1);
  damaged[offsetof(perf_event_header, size)] = std::byte{1};
  kernel.Write(damaged);

  EXPECT_THAT(ring.Next(ring.Head()), IsEmpty());
  kernel.Write(Record(2));
  EXPECT_THAT(ring.Next(ring.Head()), ElementsAreArray(Record(2)));
}

}  // namespace
}  // namespace whyslow
