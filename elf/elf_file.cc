#include "elf/elf_file.h"

#include <absl/strings/str_format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "elf/decompress.h"

namespace whyslow {
namespace {

// A file with more headers than this is not a program; the limit bounds what a hostile one can
// cost.
constexpr size_t kMaxHeaders = 100'000;
constexpr size_t kMaxNoteBytes = size_t{1} << 20;
constexpr int kMaxNoteRuns = 64;
constexpr size_t kMaxSectionNames = size_t{16} << 20;
constexpr size_t kMaxSectionName = 256;
// Below this a copy is cheaper than a mapping and safe from a file that is cut short while we read.
constexpr size_t kMapAbove = size_t{8} << 20;

template <class T>
T Load(const std::string& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

constexpr uint64_t AlignUp4(uint64_t value) { return (value + 3) & ~uint64_t{3}; }

}  // namespace

std::string FindBuildIdNote(std::span<const std::byte> notes) {
  size_t at = 0;
  while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data() + at, sizeof(header));
    const uint64_t name_at = at + sizeof(header);
    const uint64_t data_at = name_at + AlignUp4(header.n_namesz);
    const uint64_t end = data_at + AlignUp4(header.n_descsz);
    if (data_at + header.n_descsz > notes.size()) {
      break;
    }
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes.data() + name_at, "GNU", 4) == 0 && header.n_descsz <= 64) {
      std::string hex;
      for (size_t i = 0; i < header.n_descsz; ++i) {
        hex += absl::StrFormat("%02x", std::to_integer<unsigned>(notes[data_at + i]));
      }
      return hex;
    }
    if (end >= notes.size()) {
      break;
    }
    at = end;
  }
  return {};
}

void SectionBytes::ForgetPages() const {
  if (is_mapped_) {
    madvise(mapping_.bytes().data(), mapping_.bytes().size(), MADV_DONTNEED);
  }
}

absl::Status ElfFile::Broken(std::string_view what) const {
  return MakeStatus(absl::StatusCode::kInvalidArgument,
                    absl::StrFormat("%s: not a usable ELF file: %s", name_, what));
}

absl::StatusOr<ElfFile> ElfFile::Open(UniqueFd fd, std::string name) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, name);
  }
  ElfFile file;
  file.name_ = std::move(name);
  file.file_size_ = info.st_size > 0 ? static_cast<uint64_t>(info.st_size) : 0;
  file.fd_ = std::make_shared<const UniqueFd>(std::move(fd));
  return Parse(std::move(file));
}

absl::StatusOr<ElfFile> ElfFile::FromBytes(std::string image, std::string name) {
  ElfFile file;
  file.name_ = std::move(name);
  file.file_size_ = image.size();
  file.image_ = std::make_shared<const std::string>(std::move(image));
  return Parse(std::move(file));
}

absl::StatusOr<ElfFile> ElfFile::Parse(ElfFile file) {
  RETURN_IF_ERROR(file.ParseHeaders());
  file.FindBuildId();
  return file;
}

absl::StatusOr<std::string> ElfFile::ReadBytes(uint64_t offset, size_t size) const {
  if (offset > file_size_ || size > file_size_ - offset) {
    return Broken("it ends before its own tables do");
  }
  if (image_ != nullptr) {
    return image_->substr(offset, size);
  }
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(fd_->get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, name_);
    }
    if (got == 0) {
      return Broken("it was cut short while it was read");
    }
    done += static_cast<size_t>(got);
  }
  return bytes;
}

absl::Status ElfFile::ParseHeaders() {
  static_assert(std::endian::native == std::endian::little);
  ASSIGN_OR_RETURN(const std::string ident,
                   ReadBytes(0, std::min<uint64_t>(file_size_, EI_NIDENT)));
  if (ident.size() < EI_NIDENT || std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0) {
    return Broken("no ELF magic at its start");
  }
  if (ident[EI_CLASS] != ELFCLASS64) {
    return Broken("a 32-bit file; only 64-bit programs can be profiled");
  }
  if (ident[EI_DATA] != ELFDATA2LSB) {
    return Broken("big-endian");
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadBytes(0, sizeof(Elf64_Ehdr)));
  const Elf64_Ehdr header = Load<Elf64_Ehdr>(bytes, 0);
  machine_ = header.e_machine;
  type_ = header.e_type;
  entry_ = ElfAddress(header.e_entry);
  RETURN_IF_ERROR(ParseSegments(header));
  // Section headers are not needed to run: a file without them, or with broken ones, is still
  // useful.
  if (!ParseSections(header).ok()) {
    sections_.clear();
  }
  return absl::OkStatus();
}

absl::Status ElfFile::ParseSegments(const Elf64_Ehdr& header) {
  if (header.e_phnum == 0) {
    return absl::OkStatus();
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    return Broken("program headers of an unknown size");
  }
  ASSIGN_OR_RETURN(const std::string table,
                   ReadBytes(header.e_phoff, size_t{header.e_phnum} * sizeof(Elf64_Phdr)));
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr row = Load<Elf64_Phdr>(table, i * sizeof(Elf64_Phdr));
    segments_.push_back({.type = row.p_type,
                         .flags = row.p_flags,
                         .file_offset = row.p_offset,
                         .file_size = row.p_filesz,
                         .address = ElfAddress(row.p_vaddr),
                         .memory_size = row.p_memsz});
  }
  return absl::OkStatus();
}

absl::Status ElfFile::ParseSections(const Elf64_Ehdr& header) {
  if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string first_bytes, ReadBytes(header.e_shoff, sizeof(Elf64_Shdr)));
  const Elf64_Shdr first = Load<Elf64_Shdr>(first_bytes, 0);
  // Numbers that do not fit 16 bits stand in the first section header.
  const uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  const uint64_t names_row = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  if (count > kMaxHeaders || names_row >= count) {
    return Broken("section headers out of range");
  }
  ASSIGN_OR_RETURN(const std::string table, ReadBytes(header.e_shoff, count * sizeof(Elf64_Shdr)));
  const Elf64_Shdr names_header = Load<Elf64_Shdr>(table, names_row * sizeof(Elf64_Shdr));
  if (names_header.sh_size > kMaxSectionNames) {
    return Broken("section names out of range");
  }
  ASSIGN_OR_RETURN(const std::string names,
                   ReadBytes(names_header.sh_offset, names_header.sh_size));
  for (size_t i = 0; i < count; ++i) {
    const Elf64_Shdr row = Load<Elf64_Shdr>(table, i * sizeof(Elf64_Shdr));
    std::string name;
    if (row.sh_name < names.size()) {
      // Only so far, or a table of one long name would be copied for each section.
      name = names.substr(row.sh_name, kMaxSectionName);
      name.resize(std::min(name.find('\0'), name.size()));
    }
    sections_.push_back({.name = std::move(name),
                         .type = row.sh_type,
                         .flags = row.sh_flags,
                         .address = ElfAddress(row.sh_addr),
                         .file_offset = row.sh_offset,
                         .size = row.sh_size,
                         .link = row.sh_link,
                         .entry_size = row.sh_entsize});
  }
  return absl::OkStatus();
}

const ElfSection* ElfFile::FindSection(std::string_view name) const {
  const auto found = std::ranges::find_if(sections_, [name](const ElfSection& section) {
    return section.has_bytes() && section.name == name;
  });
  return found == sections_.end() ? nullptr : &*found;
}

const ElfSection* ElfFile::FindGoTable() const {
  const ElfSection* table = FindSection(".gopclntab");
  return table != nullptr ? table : FindSection(".data.rel.ro.gopclntab");  // of a PIE
}

absl::StatusOr<SectionBytes> ElfFile::ReadSection(const ElfSection& section) const {
  if (!section.has_bytes()) {
    return SectionBytes();
  }
  if (section.file_offset > file_size_ || section.size > file_size_ - section.file_offset) {
    return Broken(absl::StrFormat("section %s lies past its end", section.name));
  }
  const bool compressed = (section.flags & SHF_COMPRESSED) != 0;
  const bool old_style = section.name.starts_with(".zdebug");
  ASSIGN_OR_RETURN(SectionBytes raw, ReadRaw(section));
  if (!compressed && !old_style) {
    return raw;
  }
  absl::StatusOr<std::string> plain =
      compressed ? DecompressElfSection(raw.bytes()) : DecompressZdebugSection(raw.bytes());
  if (!plain.ok()) {
    return Broken(absl::StrFormat("section %s: %s", section.name, plain.status().message()));
  }
  return SectionBytes(*std::move(plain));
}

absl::StatusOr<SectionBytes> ElfFile::ReadRaw(const ElfSection& section) const {
  if (section.size <= kMapAbove || fd_ == nullptr) {
    ASSIGN_OR_RETURN(std::string copy, ReadBytes(section.file_offset, section.size));
    return SectionBytes(std::move(copy));
  }
  const uint64_t skip = section.file_offset % static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  ASSIGN_OR_RETURN(MappedRegion mapping,
                   MappedRegion::Map(fd_->get(), section.size + skip, PROT_READ, MAP_PRIVATE,
                                     static_cast<int64_t>(section.file_offset - skip), name_));
  TruncationGuard guard(mapping.bytes());
  return SectionBytes(std::move(mapping), std::move(guard), skip, section.size);
}

void ElfFile::FindBuildId() {
  int runs = 0;
  const auto try_notes = [&](uint64_t offset, uint64_t size) {
    if (!build_id_.empty() || ++runs > kMaxNoteRuns) {
      return;
    }
    const absl::StatusOr<std::string> notes = ReadBytes(offset, std::min(size, kMaxNoteBytes));
    if (notes.ok()) {
      build_id_ = FindBuildIdNote(std::as_bytes(std::span(notes->data(), notes->size())));
    }
  };
  for (const ElfSegment& segment : segments_) {
    if (segment.type == PT_NOTE) {
      try_notes(segment.file_offset, segment.file_size);
    }
  }
  for (const ElfSection& section : sections_) {
    if (section.type == SHT_NOTE) {
      try_notes(section.file_offset, section.size);
    }
  }
}

std::optional<ElfAddress> ElfFile::AddressAtOffset(uint64_t file_offset, bool must_execute) const {
  const auto address_in = [file_offset](const ElfSegment& segment) -> std::optional<ElfAddress> {
    if (segment.type != PT_LOAD || file_offset < segment.file_offset ||
        file_offset - segment.file_offset >= segment.file_size) {
      return std::nullopt;
    }
    return segment.address + (file_offset - segment.file_offset);
  };
  for (const ElfSegment& segment : segments_) {
    if (segment.executable()) {
      if (const std::optional<ElfAddress> address = address_in(segment)) {
        return address;
      }
    }
  }
  if (must_execute) {
    return std::nullopt;
  }
  for (const ElfSegment& segment : segments_) {
    if (const std::optional<ElfAddress> address = address_in(segment)) {
      return address;
    }
  }
  return std::nullopt;
}

}  // namespace whyslow
