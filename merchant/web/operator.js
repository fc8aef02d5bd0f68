"use strict";

// Keeps the operator's page as the login is: each event brings what to show, in the page's language and as text.
(function () {
  const byId = (id) => document.getElementById(id);
  const watch = byId("watch");
  if (!watch) {
    return;
  }
  const show = (element, visible) => {
    if (element) {
      element.hidden = !visible;
    }
  };

  const expires = Date.parse(watch.dataset.expires);
  const tick = () => {
    const left = Math.max(0, Math.round((expires - Date.now()) / 1000));
    byId("clock").textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
  };
  let timer = 0;
  const countDown = (on) => {
    on = on && !Number.isNaN(expires);
    show(byId("left"), on);
    clearInterval(timer);
    if (on) {
      tick();
      timer = setInterval(tick, 1000);
    }
  };

  const showResult = (result) => {
    const rows = result.map((row) => {
      const div = document.createElement("div");
      const label = document.createElement("dt");
      const value = document.createElement("dd");
      const text = document.createElement("bdi");
      label.textContent = row.label;
      text.textContent = row.value;
      value.append(text);
      div.append(label, value);
      return div;
    });
    byId("claims").replaceChildren(...rows);
    show(byId("result"), true);
  };

  const update = (login) => {
    const pending = login.state === "pending";
    byId("state").dataset.state = login.state;
    byId("now").textContent = login.now;
    byId("more").textContent = login.more;
    show(byId("code"), pending);
    show(byId("cancel"), pending);
    show(byId("again"), !pending);
    countDown(pending);
    if (login.result) {
      showResult(login.result);
    }
  };

  const first = byId("state").dataset.state;
  if (!byId("result").hidden || first !== "pending" && first !== "approved") {
    return; // nothing more to come
  }
  countDown(first === "pending");
  const events = new EventSource(watch.dataset.events);
  events.addEventListener("state", (event) => {
    const login = JSON.parse(event.data);
    show(byId("broken"), false);
    if (login.state !== "pending") {
      events.close();
    }
    update(login);
  });
  events.addEventListener("error", () => {
    show(byId("broken"), events.readyState === EventSource.CLOSED);
  });
})();
