"""An MCP server that asks its user: `make()` in this process, with fields of each kind."""

from typing import Annotated, Literal, Optional

from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from pydantic import BaseModel, Field


class Booking(BaseModel):
    guests: int = Field(title="Guests", ge=1, le=8)
    room: Literal["single", "double"] = Field(title="Room")
    breakfast: bool = Field(False, title="Breakfast")
    note: Optional[str] = Field(None, title="<b>Note</b>")


async def ask_booking(city: str) -> Elicit[Booking]:
    return Elicit("A room in <img src=x onerror=alert(1)>?", Booking)


def make():
    server = MCPServer("hotel", version="1")

    @server.tool()
    def book(city: str, booking: Annotated[Booking, Resolve(ask_booking)]) -> str:
        """Book a room."""
        food = "with" if booking.breakfast else "without"
        return f"{booking.guests} in a {booking.room} room in {city}, {food} breakfast, {booking.note or 'no note'}"

    return server
