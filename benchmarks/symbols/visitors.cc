// A unit of the generated program (benchmarks/debug_files.py): variants, tuples, futures.
#include <algorithm>
#include <array>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace space0000 {

struct Node;
using NodeRef = std::shared_ptr<Node>;
using Value = std::variant<long, double, std::string, std::vector<long>, NodeRef>;

struct Node {
  Value left;
  Value right;
  std::optional<std::string> name;
};

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

inline long Sum(const Value& value, int depth = 0) {
  return std::visit(
      Overloaded{
          [](long number) { return number; },
          [](double number) { return static_cast<long>(number); },
          [](const std::string& text) { return static_cast<long>(text.size()); },
          [](const std::vector<long>& row) { return std::accumulate(row.begin(), row.end(), 0L); },
          [depth](const NodeRef& node) {
            return node && depth < 9 ? Sum(node->left, depth + 1) + Sum(node->right, depth + 1)
                                     : 0L;
          }},
      value);
}

template <size_t... Rows>
auto Table(int count, std::index_sequence<Rows...>) {
  return std::make_tuple(
      std::array<Value, 3>{Value(long{count}), Value(count * 0.5),
                           Value(std::to_string(count + static_cast<int>(Rows)))}...);
}

class Pool {
 public:
  template <class Work>
  auto Run(Work work) {
    auto task = std::make_shared<std::packaged_task<decltype(work())()>>(std::move(work));
    auto result = task->get_future();
    const std::scoped_lock lock(mutex_);
    waiting_.emplace_back([task] { (*task)(); });
    return result;
  }
  void Drain() {
    while (!waiting_.empty()) {
      waiting_.front()();
      waiting_.pop_front();
    }
  }

 private:
  std::mutex mutex_;
  std::list<std::function<void()>> waiting_;
};

}  // namespace space0000

long unit_space0000(int count) {
  using namespace space0000;
  std::map<std::pair<long, std::string>, Value> values;
  std::apply(
      [&](const auto&... rows) {
        (std::for_each(rows.begin(), rows.end(),
                       [&](const Value& value) {
                         values.emplace(std::pair(Sum(value), std::to_string(values.size())),
                                        value);
                       }),
         ...);
      },
      Table(count, std::make_index_sequence<4>()));
  auto node =
      std::make_shared<Node>(Node{Value(long{count}), Value(std::vector<long>(5, count)), {}});
  values[{0, "node"}] = node;
  Pool pool;
  auto sum = pool.Run([&] {
    return std::accumulate(values.begin(), values.end(), 0L,
                           [](long total, const auto& row) { return total + Sum(row.second); });
  });
  auto name = pool.Run([&] { return node->name.value_or("none"); });
  pool.Drain();
  return sum.get() + static_cast<long>(name.get().size());
}
