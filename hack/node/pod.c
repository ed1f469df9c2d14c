/* The one program of the node's own image: the sandbox of every pod, and in tests a container that serves or asks.
 *   pod                   waits to be told to end
 *   pod serve PORT TEXT   answers every HTTP request with TEXT
 *   pod get IP PORT       prints what is answered there; 1 when nobody answers within 5 seconds
 * Static and without libraries, so that the image needs no base. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, NULL, WNOHANG) > 0) {} }

static int serve(int port, const char *text) {
  int door = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(door, (struct sockaddr *)&here, sizeof here) || listen(door, 64)) return perror("listen"), 1;
  printf("serving\n");
  fflush(stdout);
  for (;;) {
    int guest = accept(door, NULL, NULL);
    char request[4096] = "";
    size_t length = 0;
    ssize_t n = 1;
    if (guest < 0) continue;
    /* All of the head: what is left unread would reset the connection. */
    while (n > 0 && length < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
      n = read(guest, request + length, sizeof request - 1 - length);
      if (n > 0) request[length += (size_t)n] = 0;
    }
    if (n > 0)
      dprintf(guest, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(text), text);
    close(guest);
  }
}

static int get(const char *ip, int port) {
  int line = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval patience = {.tv_sec = 5};
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  char answer[4096];
  ssize_t n;
  inet_pton(AF_INET, ip, &there.sin_addr);
  setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(line, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(line, (struct sockaddr *)&there, sizeof there)) return perror("connect"), 1;
  dprintf(line, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", ip);
  while ((n = read(line, answer, sizeof answer)) > 0) fwrite(answer, 1, (size_t)n, stdout);
  return n < 0 ? perror("read"), 1 : 0;
}

int main(int argc, char **argv) {
  signal(SIGTERM, end);
  signal(SIGINT, end);
  signal(SIGPIPE, SIG_IGN);
  if (argc == 4 && !strcmp(argv[1], "serve")) return serve(atoi(argv[2]), argv[3]);
  if (argc == 4 && !strcmp(argv[1], "get")) return get(argv[2], atoi(argv[3]));
  signal(SIGCHLD, reap);
  for (;;) pause();
}
