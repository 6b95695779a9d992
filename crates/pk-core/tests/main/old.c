/* What today's servers no longer do, but the kernel still allows: calls of a 32-bit program, and
 * bind in a child that borrows its parent's memory. Prints one line a call. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
static long narrow(long number, long one, long two, long three) {
	long answer;
	__asm__ volatile("int $0x80"
			 : "=a"(answer)
			 : "a"(number), "b"(one), "c"(two), "d"(three)
			 : "memory", "r8", "r9", "r10", "r11");
	return answer;
}
#endif

int main(int count, char **words) {
	struct sockaddr_in *address = mmap(0, 4096, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS
#ifdef MAP_32BIT
						   | MAP_32BIT
#endif
					   , -1, 0);
	unsigned *arguments = (unsigned *)(address + 1);
	int socket_ = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	long bound = -ENOSYS, listens = -ENOSYS;

	if (count != 3 || address == MAP_FAILED)
		return 2;
	setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	address->sin_family = AF_INET;
	address->sin_port = htons(atoi(words[2]));
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!strcmp(words[1], "vfork")) {
		if (vfork() == 0) {
			bound = bind(socket_, (void *)address, sizeof *address) ? -errno : 0;
			listens = listen(socket_, 1) ? -errno : 0;
			_exit(0);
		}
		wait(0);
	}
#ifdef __x86_64__
	if (!strcmp(words[1], "narrow")) {
		bound = narrow(361, socket_, (long)address, sizeof *address);
		listens = narrow(363, socket_, 1, 0);
	}
	if (!strcmp(words[1], "multiplexed")) {
		arguments[0] = socket_;
		arguments[1] = (unsigned)(unsigned long)address;
		arguments[2] = sizeof *address;
		bound = narrow(102, 2, (long)arguments, 0);
		arguments[1] = 1;
		listens = narrow(102, 4, (long)arguments, 0);
	}
#endif
	dprintf(0, "%ld %ld\n", bound, listens);
	return 0;
}
