// Builds small ELF files in memory, sound ones and broken ones.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace whyslow {

struct ImageSection {
  std::string name;
  uint32_t type = SHT_PROGBITS;
  uint64_t flags = 0;
  uint64_t address = 0;
  std::string bytes;
  uint32_t link = 0;  // number of the section, counted from 1 in order of adding
  uint64_t entry_size = 0;
};

template <class T>
std::string BytesOf(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

class ElfImage {
 public:
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
  std::vector<ImageSection> sections;

  ElfImage() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_DYN;
    header.e_machine = EM_X86_64;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_shentsize = sizeof(Elf64_Shdr);
  }

  // Headers, program headers, section bytes, section headers.
  std::string Build() const {
    std::string body;
    std::string names(1, '\0');
    std::vector<Elf64_Shdr> rows(1);
    const uint64_t start = sizeof(Elf64_Ehdr) + segments.size() * sizeof(Elf64_Phdr);
    std::vector<ImageSection> all = sections;
    all.push_back({.name = ".shstrtab", .type = SHT_STRTAB});
    for (const ImageSection& section : all) {
      Elf64_Shdr row{};
      row.sh_name = static_cast<uint32_t>(names.size());
      names += section.name + '\0';
      row.sh_type = section.type;
      row.sh_flags = section.flags;
      row.sh_addr = section.address;
      row.sh_offset = start + body.size();
      row.sh_size = section.bytes.size();
      row.sh_link = section.link;
      row.sh_entsize = section.entry_size;
      body += section.bytes;
      rows.push_back(row);
    }
    rows.back().sh_size = names.size();
    body += names;
    Elf64_Ehdr head = header;
    head.e_phnum = static_cast<uint16_t>(segments.size());
    head.e_phoff = segments.empty() ? 0 : sizeof(Elf64_Ehdr);
    head.e_shnum = static_cast<uint16_t>(rows.size());
    head.e_shstrndx = static_cast<uint16_t>(rows.size() - 1);
    head.e_shoff = start + body.size();
    std::string image = BytesOf(head);
    for (const Elf64_Phdr& segment : segments) {
      image += BytesOf(segment);
    }
    image += body;
    for (const Elf64_Shdr& row : rows) {
      image += BytesOf(row);
    }
    return image;
  }
};

// An NT_GNU_BUILD_ID note.
inline std::string BuildIdNote(const std::string& id) {
  const Elf64_Nhdr header{
      .n_namesz = 4, .n_descsz = static_cast<uint32_t>(id.size()), .n_type = NT_GNU_BUILD_ID};
  std::string note = BytesOf(header) + std::string("GNU\0", 4) + id;
  note.resize((note.size() + 3) / 4 * 4);
  return note;
}

}  // namespace whyslow
