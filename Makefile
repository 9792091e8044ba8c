# Makefile: builds, checks and installs libedgecrdt; `make help` lists targets.

BUILD   = build
PREFIX  = /usr/local
BINDIR  = $(PREFIX)/bin
LIBDIR  = $(PREFIX)/lib
INCDIR  = $(PREFIX)/include
JOBS    = $(shell nproc)
CFLAGS ?= -O2 -g

# The version is written once, in the public header.
number   = $(shell sed -n 's/.*define ECRDT_VERSION_$(1) //p' \
           include/edgecrdt.h)
MAJOR   := $(call number,MAJOR)
VERSION := $(MAJOR).$(call number,MINOR).$(call number,PATCH)

# ---- sources ----------------------------------------------------------------
CORE     := $(wildcard lib/*.c crdt/*.c)
SYNC     := $(CORE) $(wildcard replication/*.c replication/link/*.c)
RELAY    := $(wildcard replication/relay/*.c)
CLI      := $(wildcard cli/*.c)
EXAMPLES := $(wildcard examples/*.c)
FUZZ     := $(wildcard fuzz/fuzz_*.c)
SEEDS    := fuzz/make_seeds.c
TESTS    := $(sort $(shell find tests -name 'test_*.c'))
RECORDER := tests/crash/recorder
HELPERS  := $(filter-out $(TESTS) $(RECORDER).c,$(wildcard tests/net/*.c \
              tests/crash/*.c tests/history/*.c))
SCRIPTS  := $(filter-out %/lib.sh,$(wildcard tests/*/*.sh))
QUICK    := $(filter-out %_long.sh,$(SCRIPTS))
HOUSE    := $(wildcard tests/tidy.sh tests/install.sh tests/readme.sh \
              tests/examples.sh)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
bin = $(patsubst %.c,$(BUILD)/%,$(1))
PROGRAMS := $(addprefix $(BUILD)/edgecrdt,d -bench -sim) $(BUILD)/edgecrdt \
            $(call bin,$(EXAMPLES) $(FUZZ) $(SEEDS) $(TESTS) $(HELPERS))
TOOLS    := $(if $(RELAY),$(BUILD)/edgecrdtd) $(if $(CLI),$(BUILD)/edgecrdt)

# ---- flags ------------------------------------------------------------------
MSGPACK   := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo -c)
CORE_PC   := lmdb libsodium msgpack$(MSGPACK)
SYNC_PC   := $(CORE_PC) libuv
ALL_PC    := $(SYNC_PC) libconfuse jansson cmocka sqlite3
pc         = $(shell pkg-config $(1) 2>/dev/null) -pthread
CORE_LIBS := $(call pc,--libs $(CORE_PC))
SYNC_LIBS := $(call pc,--libs $(SYNC_PC))
ALL_LIBS  := $(call pc,--libs $(ALL_PC)) -lm

SAN  = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
       -fno-omit-frame-pointer)
OPT  = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(CFLAGS) $(SAN)
WARN = -Wall -Wextra -Wshadow -Wconversion -Wpedantic $(if $(WERROR),-Werror)
INC := -I. -Iinclude $(call pc,--cflags $(ALL_PC))
LINK = $(call say,LD)$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,--as-needed -o $@
say  = $(if $(V),,@printf '  %-4s %s\n' $(1) $@;)

# ---- what people ask for ----------------------------------------------------
.DEFAULT_GOAL := all
.PHONY: all build check check-long mutants mutants-sim demo demo-survive bench \
        bench-plot fuzz fuzz-afl fuzz-seeds coverage sim asan tsan install \
        uninstall format tidy deps clean help FORCE \
        libraries test-programs fuzz-programs sanitized
MAKE_IT = @+$(MAKE) --no-print-directory -j$(JOBS)
RUN_IT  = @BUILD=$(abspath $(BUILD)) tests/run.sh -j $(JOBS)

all build: libraries $(TOOLS) $(call bin,$(EXAMPLES)) ## libraries, programs

check: deps ## build, house rules, all quick tests
	$(MAKE_IT) WERROR=1 all test-programs
	$(RUN_IT) $(HOUSE) $(call bin,$(TESTS) $(FUZZ)) $(QUICK)

check-long: deps ## check, and the tests that take long
	$(MAKE_IT) WERROR=1 all test-programs
	$(RUN_IT) -t 7200 $(HOUSE) $(call bin,$(TESTS) $(FUZZ)) $(SCRIPTS)
	$(MAKE_IT) mutants

MUTATED = $(shell sed 's/\#.*//' tests/mutants.txt | awk 'NF {print $$2}')
mutants: deps ## removes one rule after the other and sees its test fail
	$(MAKE_IT) WERROR=1 $(addprefix $(BUILD)/,$(sort $(MUTATED)))
	@BUILD=$(abspath $(BUILD)) COMPILE='$(CC) $(OPT) $(INC)' \
	    LINK='$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,--as-needed' \
	    LIBS='$(ALL_LIBS)' tests/mutants.sh -j $(JOBS) $(ARGS)

mutants-sim: deps ## the same, counting the simulator's seeds until it sees
	$(MAKE_IT) WERROR=1 $(BUILD)/edgecrdt-sim
	@BUILD=$(abspath $(BUILD)) COMPILE='$(CC) $(OPT) $(INC)' \
	    LINK='$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,--as-needed' \
	    LIBS='$(ALL_LIBS)' tests/mutants_sim.sh -j $(JOBS) $(ARGS)

asan: deps ## the quick tests under the address and UB sanitizers
	$(MAKE_IT) BUILD=$(BUILD)-asan SANITIZE=address,undefined sanitized

tsan: deps ## the quick tests under the thread sanitizer
	$(MAKE_IT) BUILD=$(BUILD)-tsan SANITIZE=thread sanitized

sanitized: $(TOOLS) $(call bin,$(EXAMPLES)) test-programs
	$(RUN_IT) -t 900 $(call bin,$(TESTS) $(FUZZ)) $(QUICK)

demo: deps ## one core and three edges on loopback; LOG=FILE for a real log
	$(MAKE_IT) all
	@BUILD=$(abspath $(BUILD)) LOG='$(LOG)' examples/demo.sh

demo-survive: deps ## its second act: restored, cloned, lost and absent edges
	$(MAKE_IT) all
	@BUILD=$(abspath $(BUILD)) LOG='$(LOG)' examples/demo_survive.sh

bench bench-plot: deps ## speed beside raw LMDB and SQLite; drawn to docs/
	$(MAKE_IT) all $(BUILD)/edgecrdt-bench
	@$(BUILD)/edgecrdt-bench $(if $(@:bench=),--svg docs/bench.svg) $(ARGS)

# Without pointer-overflow, which takes NULL + 0 of an empty slice for one.
MINUTES ?= 1
FUZZED   = $(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)-fuzz CC=clang \
           LDFLAGS=-fsanitize=fuzzer FUZZ_MAIN= WERROR=1 \
           SANITIZE=fuzzer-no-link,address,undefined \
           CPPFLAGS=-fno-sanitize=pointer-overflow \
           CFLAGS='-O1 -g -fprofile-instr-generate -fcoverage-mapping'
fuzz: ## libFuzzer, two targets at a time: MINUTES=1 each, TARGETS='frame ...'
	@packaging/deps.sh fuzz
	@+$(FUZZED) fuzz-programs
	@BUILD=$(abspath $(BUILD))-fuzz fuzz/run.sh -j $(JOBS) \
	    -t $$(($(MINUTES) * 60)) $(or $(TARGETS),$(FUZZ:fuzz/fuzz_%.c=%))

AFL = $(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)-afl \
      CC=afl-clang-fast LDFLAGS=-fsanitize=fuzzer FUZZ_MAIN= \
      SANITIZE=address,undefined \
      CPPFLAGS=-fno-sanitize=pointer-overflow CFLAGS='-O1 -g'
fuzz-afl: ## the same by AFL++, one after the other
	@packaging/deps.sh afl
	@+$(AFL) fuzz-programs
	@BUILD=$(abspath $(BUILD))-afl fuzz/afl.sh -t $$(($(MINUTES) * 60)) \
	    $(or $(TARGETS),$(FUZZ:fuzz/fuzz_%.c=%))

fuzz-seeds: ## writes fuzz/seeds anew, as the formats are now
	$(MAKE_IT) $(call bin,$(SEEDS))
	@$(call bin,$(SEEDS)) fuzz/seeds

coverage: deps ## what the quick tests run; ARGS=-v names what they do not
	@packaging/deps.sh coverage
	$(MAKE_IT) BUILD=$(BUILD)-cov CFLAGS='-O0 -g --coverage' all test-programs
	@find $(BUILD)-cov -name '*.gcda' -delete
	@BUILD=$(abspath $(BUILD))-cov tests/run.sh -j $(JOBS) -t 900 \
	    $(patsubst $(BUILD)/%,$(BUILD)-cov/%,$(call bin,$(TESTS) $(FUZZ))) \
	    $(QUICK)
	@tests/coverage.py $(BUILD)-cov $(ARGS)

sim: deps ## the simulator, with ARGS
	$(MAKE_IT) $(BUILD)/edgecrdt-sim
	@$(BUILD)/edgecrdt-sim $(ARGS)

install: libraries $(TOOLS) ## to DESTDIR and PREFIX
install uninstall: ## removes what install wrote
	@packaging/install.sh $@
export BUILD DESTDIR PREFIX BINDIR LIBDIR INCDIR MAJOR VERSION CORE_PC SYNC_PC

format: ## clang-format over all C files
	@find . -path './build*' -prune -o -name '*.[ch]' -print | \
	    xargs clang-format -i

tidy: ## the house rules alone
	@tests/tidy.sh

deps: ## installs what is missing (Debian)
	@packaging/deps.sh

clean: ## removes the build folders
	rm -rf $(BUILD) $(addprefix $(BUILD)-,asan tsan fuzz afl cov gcc-O0 \
	    gcc-O2 clang-O0 clang-O2)

help: ## this list
	@sed -n 's/^\([a-z -]*\):.*## /\1:/p' Makefile | \
	    awk -F: '{printf "  make %-18s %s\n", $$1, $$2}'

# ---- how it is made ---------------------------------------------------------
$(BUILD)/%.o: %.c $(BUILD)/flags | $(BUILD)/deps
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(OPT) $(WARN) $(INC) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# Other flags than last time: everything anew.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(OPT) $(CPPFLAGS)' >$@.new; \
	    cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# The page of edgecrdt-sim's report: its files as bytes of C arrays.
PAGE := $(wildcard fuzz/sim/report.* fuzz/sim/report_*.js)
$(BUILD)/%.bytes: %
	@mkdir -p $(@D)
	$(call say,GEN)od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g' >$@
$(BUILD)/fuzz/sim/report_page.o: INC += -I$(BUILD)
$(BUILD)/fuzz/sim/report_page.o: $(PAGE:%=$(BUILD)/%.bytes)

# A clear sentence instead of a hundred errors when something is missing.
$(BUILD)/deps: packaging/deps.sh
	@mkdir -p $(@D); packaging/deps.sh --check && touch $@

$(BUILD)/%.a:
	$(call say,AR)rm -f $@ && ar rcs $@ $^

# A library twice: NAME.a with the inner names, for our tests and programs;
# what is installed, NAME.so and public/NAME.a, has ecrdt_* alone.
define library # name, sources, what it links with
$(BUILD)/$(1).a: $(call obj,$(2))
$(BUILD)/$(1).so.$(VERSION): $(call obj,$(2))
	$$(LINK) -shared -Wl,-soname,$(1).so.$(MAJOR) -Wl,-z,defs $$^ $(3)
$(BUILD)/public/$(1).a: $(BUILD)/public/$(1).o
$(BUILD)/public/$(1).o: $(call obj,$(2))
	@mkdir -p $$(@D)
	$$(call say,LD)$$(LD) -r -o $$@ $$^ && objcopy --localize-hidden $$@
libraries: $(BUILD)/$(1).so.$(VERSION) $(BUILD)/public/$(1).a
endef
$(eval $(call library,libedgecrdt,$(CORE),$(CORE_LIBS)))
$(eval $(call library,libedgecrdt-sync,$(SYNC),$(SYNC_LIBS)))

SYNC_A := $(BUILD)/libedgecrdt-sync.a
$(BUILD)/librelay.a: $(call obj,$(RELAY))
$(BUILD)/libcli.a: $(call obj,$(CLI))
$(BUILD)/edgecrdtd: $(BUILD)/librelay.a $(SYNC_A)
$(BUILD)/edgecrdt: $(BUILD)/libcli.a $(SYNC_A)
$(BUILD)/edgecrdt-bench: $(call obj,$(wildcard bench/*.c)) $(SYNC_A)
$(BUILD)/edgecrdt-sim: $(call obj,$(wildcard fuzz/sim/*.c) \
    tests/support/support.c) $(SYNC_A)
$(call bin,$(EXAMPLES)): %: %.o $(BUILD)/public/libedgecrdt-sync.a
# Targets and seeds live in a world of their own: see fuzz/fuzz.c. A fuzzing
# engine brings its own main() instead of the one that replays seeds.
FUZZ_MAIN = $(BUILD)/fuzz/replay.o
$(call bin,$(SEEDS)): $(call obj,$(SEEDS))
$(call bin,$(FUZZ)): %: %.o $(FUZZ_MAIN)
$(call bin,$(FUZZ) $(SEEDS)): $(BUILD)/fuzz/fuzz.o \
    $(call obj,$(wildcard tests/support/*.c)) \
    $(BUILD)/librelay.a $(BUILD)/libcli.a $(SYNC_A)
$(call bin,$(FUZZ) $(SEEDS)): private LDFLAGS += -Wl,--wrap=os_wall_ms
$(call bin,$(TESTS) $(HELPERS)): %: %.o \
    $(call obj,$(wildcard tests/support/*.c)) \
    $(BUILD)/librelay.a $(BUILD)/libcli.a $(SYNC_A)
$(PROGRAMS):
	$(LINK) $^ $(ALL_LIBS)
# To be preloaded before a program: it records what that writes.
$(BUILD)/$(RECORDER).so: $(BUILD)/$(RECORDER).o
	$(LINK) -shared $^
test-programs: $(call bin,$(TESTS) $(FUZZ) $(HELPERS)) \
    $(BUILD)/edgecrdt-sim $(BUILD)/$(RECORDER).so
fuzz-programs: $(call bin,$(FUZZ))

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
