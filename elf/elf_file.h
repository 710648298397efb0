// An ELF file as headers, sections and notes. Every byte in it may be hostile: all offsets and
// sizes are checked against the file, and nothing here allocates more than the file (or a stated
// limit) justifies.
#pragma once

#include <absl/status/statusor.h>
#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/mapped_region.h"
#include "base/unique_fd.h"
#include "elf/truncation_guard.h"

namespace whyslow {

// PT_LOAD and its kin. `address` is p_vaddr.
struct ElfSegment {
  uint32_t type = 0;
  uint32_t flags = 0;  // PF_R, PF_W, PF_X
  uint64_t file_offset = 0;
  uint64_t file_size = 0;
  ElfAddress address;
  uint64_t memory_size = 0;

  bool executable() const { return type == PT_LOAD && (flags & PF_X) != 0; }
};

struct ElfSection {
  std::string name;
  uint32_t type = 0;
  uint64_t flags = 0;
  ElfAddress address;
  uint64_t file_offset = 0;
  uint64_t size = 0;
  uint32_t link = 0;
  uint64_t entry_size = 0;

  bool has_bytes() const { return type != SHT_NOBITS; }
};

// The bytes of a section, decompressed. Move-only: owns its memory or its mapping.
class SectionBytes {
 public:
  SectionBytes() = default;
  explicit SectionBytes(std::string owned) : owned_(std::move(owned)) {}
  SectionBytes(MappedRegion mapping, TruncationGuard guard, size_t skip, size_t size)
      : mapping_(std::move(mapping)),
        guard_(std::move(guard)),
        skip_(skip),
        mapped_size_(size),
        is_mapped_(true) {}

  std::span<const std::byte> bytes() const {
    if (is_mapped_) {
      return mapping_.bytes().subspan(skip_, mapped_size_);
    }
    return std::as_bytes(std::span(owned_.data(), owned_.size()));
  }
  size_t size() const { return bytes().size(); }

  // Gives the memory of what was read so far back to the system, where the bytes are those of the
  // file: they are read again when they are wanted again. For sections larger than the memory that
  // reading them may take.
  void ForgetPages() const;

 private:
  std::string owned_;
  MappedRegion mapping_;
  TruncationGuard guard_;
  size_t skip_ = 0;
  size_t mapped_size_ = 0;
  bool is_mapped_ = false;
};

class ElfFile {
 public:
  // Takes the descriptor and keeps it: the file can be deleted while its names are still wanted.
  // `name` is for error texts. 64-bit little-endian files only; anything else is an error that says
  // so.
  static absl::StatusOr<ElfFile> Open(UniqueFd fd, std::string name);
  // An image that is no file: the vdso, a test's bytes.
  static absl::StatusOr<ElfFile> FromBytes(std::string image, std::string name);

  const std::string& name() const { return name_; }
  uint16_t machine() const { return machine_; }  // EM_X86_64, EM_AARCH64
  uint16_t type() const { return type_; }        // ET_EXEC, ET_DYN, ET_REL
  ElfAddress entry() const { return entry_; }
  uint64_t file_size() const { return file_size_; }
  int fd() const { return fd_ ? fd_->get() : -1; }  // -1 for FromBytes
  std::span<const ElfSegment> segments() const { return segments_; }
  std::span<const ElfSection> sections() const { return sections_; }

  // The first section of that name with bytes in the file; nullptr when there is none.
  const ElfSection* FindSection(std::string_view name) const;
  // The table that every Go program carries for its own tracebacks; nullptr: not written in Go.
  const ElfSection* FindGoTable() const;

  // Decompresses SHF_COMPRESSED (zlib, zstd) and old .zdebug_* sections. At most 4 GiB result.
  absl::StatusOr<SectionBytes> ReadSection(const ElfSection& section) const;
  // Exactly `size` bytes at `offset`; an error when the file ends before.
  absl::StatusOr<std::string> ReadBytes(uint64_t offset, size_t size) const;

  // NT_GNU_BUILD_ID from the segments, else from the sections; lower-case hex, empty when there is
  // none.
  const std::string& build_id() const { return build_id_; }

  // The ELF address of the byte at this file offset, by the PT_LOAD segments. `must_execute`:
  // executable segments win where two hold the same byte (lld joins pages of neighbours).
  std::optional<ElfAddress> AddressAtOffset(uint64_t file_offset, bool must_execute = true) const;

 private:
  ElfFile() = default;
  static absl::StatusOr<ElfFile> Parse(ElfFile file);
  absl::Status ParseHeaders();
  absl::Status ParseSegments(const Elf64_Ehdr& header);
  absl::Status ParseSections(const Elf64_Ehdr& header);
  void FindBuildId();
  absl::StatusOr<SectionBytes> ReadRaw(const ElfSection& section) const;
  absl::Status Broken(std::string_view what) const;

  std::string name_;
  // Shared so that an ElfFile can be moved and its sections be read from several threads (pread
  // only).
  std::shared_ptr<const UniqueFd> fd_;
  std::shared_ptr<const std::string> image_;
  uint64_t file_size_ = 0;
  uint16_t machine_ = 0;
  uint16_t type_ = 0;
  ElfAddress entry_;
  std::vector<ElfSegment> segments_;
  std::vector<ElfSection> sections_;
  std::string build_id_;
};

// The raw bytes of the GNU build ID in a run of ELF notes, as lower-case hex; empty when there is
// none.
std::string FindBuildIdNote(std::span<const std::byte> notes);

}  // namespace whyslow
