#include "profile/wait_names.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(BareFunctionName, OfTheCLibraryHasNeitherVersionNorMarks) {
  EXPECT_EQ(BareFunctionName("pthread_cond_wait@@GLIBC_2.3.2"), "pthread_cond_wait");
  EXPECT_EQ(BareFunctionName("__GI___pthread_mutex_lock"), "pthread_mutex_lock");
  EXPECT_EQ(BareFunctionName("___pthread_mutex_lock"), "pthread_mutex_lock");
  EXPECT_EQ(BareFunctionName("__new_sem_wait_slow64.constprop.0"), "sem_wait_slow64");
  EXPECT_EQ(BareFunctionName("__libc_read"), "read");
  EXPECT_EQ(BareFunctionName("__libc_start_main_impl"), "libc_start_main_impl");
}

TEST(BareFunctionName, OfAProgramKeepsItsWords) {
  EXPECT_EQ(BareFunctionName("start"), "start");
  EXPECT_EQ(BareFunctionName("_start"), "_start");
  EXPECT_EQ(BareFunctionName("new_request"), "new_request");
  EXPECT_EQ(BareFunctionName("runtime.notesleep"), "runtime.notesleep");
  EXPECT_EQ(BareFunctionName(""), "");
  EXPECT_EQ(BareFunctionName("___"), "");
}

TEST(BareFunctionName, OfCppHasNoTypes) {
  EXPECT_EQ(BareFunctionName("std::mutex::lock()"), "std::mutex::lock");
  EXPECT_EQ(BareFunctionName("void std::condition_variable::wait<Pool::Run()::{lambda()#1}>"
                             "(std::unique_lock<std::mutex>&, Pool::Run()::{lambda()#1})"),
            "std::condition_variable::wait");
  EXPECT_EQ(BareFunctionName("util::Queue<std::vector<int> >::size() const"), "util::Queue::size");
  EXPECT_EQ(BareFunctionName("Pool::Pool(int)::{lambda()#1}::operator()() const"),
            "Pool::Pool::{lambda#1}::operator()");
  EXPECT_EQ(BareFunctionName("a::operator<(b const&, b const&)"), "a::operator<");
  EXPECT_EQ(BareFunctionName("(anonymous namespace)::Serve(int) [clone .isra.0]"), "Serve");
  EXPECT_EQ(BareFunctionName("absl::lts_20220623::Mutex::Lock()"), "absl::Mutex::Lock");
  EXPECT_EQ(BareFunctionName("std::__1::mutex::lock()"), "std::mutex::lock");
  EXPECT_EQ(BareFunctionName("std::_V2::condition_variable_any::wait(L&)"),
            "std::condition_variable_any::wait");
}

TEST(BareFunctionName, OfRustIsThatOfTheType) {
  EXPECT_EQ(BareFunctionName("std::sync::mutex::Mutex<T>::lock"), "std::sync::mutex::Mutex::lock");
  EXPECT_EQ(BareFunctionName("<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>"
                             "::call_once"),
            "alloc::boxed::Box::call_once");
}

TEST(BareFunctionName, OfBrokenNamesIsSomething) {
  EXPECT_EQ(BareFunctionName("a<b"), "a");
  EXPECT_EQ(BareFunctionName("<<<"), "");
  EXPECT_EQ(BareFunctionName("operator"), "operator");
  EXPECT_EQ(BareFunctionName("a::operator()"), "a::operator()");
  EXPECT_EQ(BareFunctionName(")>"), ")>");
}

TEST(WaitNames, QueuesAreKnownByTheirWords) {
  EXPECT_TRUE(TraitsOfUserFunction("util::BlockingQueue<int>::pop()").waits);
  EXPECT_TRUE(TraitsOfUserFunction("TaskQueue::WaitAndPop()").waits);
  EXPECT_TRUE(TraitsOfUserFunction("work_queue_get").waits);
  EXPECT_TRUE(TraitsOfUserFunction("dequeue_job").waits);
  EXPECT_FALSE(TraitsOfUserFunction("util::BlockingQueue<int>::push(int)").waits);
  EXPECT_FALSE(TraitsOfUserFunction("queue_wait_not_full").waits);
  EXPECT_FALSE(TraitsOfUserFunction("pop_count").waits);
}

TEST(WaitNames, RequestsAreUnderWayUnlessTheyAreWaitedFor) {
  EXPECT_TRUE(TraitsOfUserFunction("handle_request").is_work);
  EXPECT_TRUE(TraitsOfUserFunction("HttpServer::ProcessRequest(int)").is_work);
  EXPECT_TRUE(TraitsOfUserFunction("run_query").is_work);
  EXPECT_FALSE(TraitsOfUserFunction("WaitForRequest").is_work);
  EXPECT_FALSE(TraitsOfUserFunction("read_request").is_work);
  EXPECT_FALSE(TraitsOfUserFunction("request_loop").is_work);
}

TEST(WaitNames, ReadingIsNothingElse) {
  EXPECT_TRUE(TraitsOfUserFunction("read_line").reads);
  EXPECT_TRUE(TraitsOfUserFunction("Connection::RecvMessage()").reads);
  EXPECT_FALSE(TraitsOfUserFunction("read_config").reads);
  EXPECT_FALSE(TraitsOfUserFunction("get_line").reads);
}

TEST(WaitNames, ModulesAreKnownByTheirFile) {
  EXPECT_EQ(TraitsOfModule("/usr/lib/libssl.so.3").tls, TlsUse::kSome);
  EXPECT_EQ(TraitsOfModule("/opt/lib/libssl-3e69114b.so.1.1").tls, TlsUse::kSome);
  EXPECT_EQ(TraitsOfModule("/usr/lib/libcrypto.so.3").tls, TlsUse::kNone);
  EXPECT_TRUE(TraitsOfModule("/lib/ld-linux-x86-64.so.2").is_runtime);
  EXPECT_FALSE(TraitsOfModule("/libc.so/app").is_runtime);
  EXPECT_TRUE(IsLibc("/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_FALSE(IsLibc("/usr/lib/libcurl.so.4"));
  EXPECT_TRUE(IsPythonInterpreter("/usr/bin/python3.11"));
  EXPECT_TRUE(IsPythonInterpreter("/usr/lib/libpython3.11.so.1.0"));
  EXPECT_FALSE(IsPythonInterpreter("/usr/bin/pythonic"));
}

TEST(WaitNames, ResolversAreKnownByPortOrPath) {
  EXPECT_TRUE(IsResolverPeer("10.0.0.53:53"));
  EXPECT_TRUE(IsResolverPeer("[fd00::1]:53"));
  EXPECT_TRUE(IsResolverPeer("/run/systemd/resolve/io.systemd.Resolve"));
  EXPECT_TRUE(IsResolverPeer("/var/run/nscd/socket"));
  EXPECT_FALSE(IsResolverPeer("10.0.0.1:5353"));
  EXPECT_FALSE(IsResolverPeer("10.0.0.1:253"));
  EXPECT_FALSE(IsResolverPeer(""));
}

}  // namespace
}  // namespace whyslow
