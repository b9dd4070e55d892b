# The same as scripts/, for those who type make.
.PHONY: demo test build install check-peers fuzz format coverage clean
PREFIX ?= /usr/local

build:
	scripts/build release
demo:
	scripts/demo
test:
	scripts/test
install: build
	cmake --install build/release --prefix "$(PREFIX)"
check-peers: build
	tests/peers/run
fuzz:
	scripts/fuzz 300
format:
	clang-format -i $$(git ls-files '*.c' '*.h')
coverage:
	scripts/coverage
clean:
	rm -rf build
