// A unit of the generated program (benchmarks/debug_files.py): maps, sets and what they hold.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace space0000 {

struct Key {
  int number;
  std::string text;
  bool operator<(const Key& other) const {
    return number != other.number ? number < other.number : text < other.text;
  }
  bool operator==(const Key& other) const { return number == other.number && text == other.text; }
};

struct Hash {
  size_t operator()(const Key& key) const {
    return std::hash<std::string>()(key.text) ^ static_cast<size_t>(key.number);
  }
};

template <class Value>
class Index {
 public:
  void Add(const Key& key, Value value) {
    ordered_[key].push_back(value);
    hashed_[key].push_front(std::move(value));
    keys_.insert(key);
  }
  long Count(const Key& key) const {
    const auto ordered = ordered_.find(key);
    const auto hashed = hashed_.find(key);
    return (ordered == ordered_.end() ? 0 : static_cast<long>(ordered->second.size())) +
           (hashed == hashed_.end() ? 0 : static_cast<long>(hashed->second.size()));
  }
  const std::set<Key>& keys() const { return keys_; }

 private:
  std::map<Key, std::vector<Value>> ordered_;
  std::unordered_map<Key, std::deque<Value>, Hash> hashed_;
  std::set<Key> keys_;
};

template <class Value, class Make>
long Fill(int count, Make make) {
  Index<Value> index;
  std::vector<std::shared_ptr<Key>> order;
  for (int i = 0; i < count; ++i) {
    const Key key{i * 7 % 13, std::to_string(i)};
    index.Add(key, make(i));
    order.push_back(std::make_shared<Key>(key));
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return *a < *b; });
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return b->text < a->text; });
  const std::function<long(const Key&)> count_of = [&](const Key& key) { return index.Count(key); };
  long total = static_cast<long>(order.size());
  for (const Key& key : index.keys()) {
    total += count_of(key);
  }
  return total;
}

struct Point {
  double x;
  double y;
};

}  // namespace space0000

long unit_space0000(int count) {
  using namespace space0000;
  return Fill<int>(count, [](int i) { return i; }) +
         Fill<std::string>(count, [](int i) { return std::to_string(i * 2); }) +
         Fill<Point>(count,
                     [](int i) {
                       return Point{i * 0.5, i * 2.0};
                     }) +
         Fill<std::vector<long>>(count, [](int i) { return std::vector<long>(3, i); });
}
